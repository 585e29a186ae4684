"""Train with W&B until it has gone, after epoch 1: `python -m tests.wandb.unreachable server|process ROOT`."""

import gzip
import json
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytorch_lightning as pl

from tests.fitting import ROOT, TINY
from tsl.fit import main


class Answers(BaseHTTPRequestHandler):
    """As much of W&B's server as a run needs."""

    protocol_version = "HTTP/1.1"
    has_gone = False

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Answer a query, or a part of a run's history."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if Answers.has_gone:
            self.close_connection = True
            return
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        if self.path.endswith("file_stream"):
            self._answer({"exitcode": None, "limits": {}})
        else:
            query = json.loads(content)
            self._answer({"data": self._data(query["query"], query.get("variables") or {})})

    def do_PUT(self) -> None:
        """Take a file."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer({})

    def _data(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        name = (re.search(r"(?:query|mutation)\s+(\w+)", query) or [""])[1:2]
        project = {"id": "p", "name": "tsl", "entity": {"id": "e", "name": "me"}}
        bucket = {"id": "b", "name": variables.get("name"), "displayName": "run", "description": "", "config": "{}"}
        bucket |= {"sweepName": None, "historyLineCount": 0, "project": project}
        sequence = {"artifactSequence": {"latestArtifact": None}}
        place = f"http://127.0.0.1:{self.server.server_address[1]}/"
        uploads = [{"name": file, "uploadUrl": place + file} for file in variables.get("files") or []]
        person = {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
        answers: dict[str, Any] = {
            "Viewer": {"viewer": person},
            "ServerFeaturesQuery": {"serverInfo": {"features": []}},
            "RunResumeStatus": {"model": None},
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": True}},
            "ArtifactType": {"project": None},
            "CreateArtifact": {"createArtifact": {"artifact": {"id": "a", "state": "COMMITTED", **sequence}}},
            "CreateRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": uploads}},
        }
        return answers.get("".join(name), {})

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def start_server() -> ThreadingHTTPServer:
    """Start the server, and let wandb take it for its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    os.environ.pop("WANDB_MODE", None)
    os.environ |= {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}", "WANDB_API_KEY": "a" * 40}
    return server


class Ends(pl.Callback):
    """Ends the server, or else wandb's own process, after epoch 1."""

    server: ThreadingHTTPServer | None = None

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """See above."""
        if trainer.current_epoch > 0:
            return
        if Ends.server is not None:
            Answers.has_gone = True
            Ends.server.shutdown()
            Ends.server.server_close()
            return
        threads = Path("/proc/self/task").glob("*/children")
        children = [child for thread in threads for child in thread.read_text().split()]
        (service,) = (each for each in children if "wandb-core" in Path(f"/proc/{each}/cmdline").read_text())
        os.kill(int(service), signal.SIGKILL)


if __name__ == "__main__":
    from tests.wandb import unreachable  # as tsl.fit imports it

    what, root, *more = sys.argv[1:]
    unreachable.Ends.server = unreachable.start_server() if what == "server" else None
    overlay = ["--config", str(ROOT / "configs/logger/wandb.yaml"), "--records.pairs", "false"]
    ends = ["--trainer.callbacks+", "tests.wandb.unreachable.Ends"]
    main([*TINY, *overlay, *ends, "--trainer.default_root_dir", root, "--trainer.max_epochs", "3", *more])
