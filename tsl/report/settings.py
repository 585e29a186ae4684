"""The settings and the environment of runs, and the commands that repeat them."""

import base64
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from tsl.runs import Run
from tsl.runs.environment import environment
from tsl.runs.settings import RECORDING, differences
from tsl.runs.status import machine


def differences_table(runs: Sequence[Run]) -> str:
    """Every setting that differs between or inside runs, with the runs that have each of its values, as HTML."""
    rows = []
    groups = [group for run in runs if run.config for group in run.groups]
    found = differences([group.settings for group in groups], RECORDING) if groups else {}
    noun = "runs" if all(len(run.groups) == 1 for run in runs) else "rows of the table of outcomes"
    for key, values in found.items():
        by_value: dict[str, list[str]] = {}
        for group, value in zip(groups, values, strict=True):
            by_value.setdefault("not set" if value is None else str(value), []).append(group.name)
        named = [
            (value, f"{len(names)} {noun}" if len(names) > 4 else ", ".join(names)) for value, names in by_value.items()
        ]
        words = "".join(f"<li><b>{escape(value)}</b> {escape(names)}</li>" for value, names in named)
        rows.append(f'<tr><th scope="row"><code>{escape(key)}</code></th><td><ul>{words}</ul></td></tr>')
    if not rows:
        alone = "There is one run." if len(runs) == 1 else "The runs have the same settings."
        return f"<p>{alone}</p>"
    head = '<thead><tr><th scope="col">setting</th><th scope="col">values</th></tr></thead>'
    return f'<div class="scroll"><table>{head}<tbody>{"".join(rows)}</tbody></table></div>'


def run_details(runs: Sequence[Run]) -> str:
    """The commands that repeat each run, and its config.yaml to read and to save, as HTML."""
    details = []
    for run in runs:
        file = f"<pre class='command'>{escape(chr(10).join(commands(run)))}</pre>"
        config = run.path / "config.yaml"
        if run.config:
            text = config.read_text(encoding="utf-8")
            link = f"data:application/yaml;base64,{base64.b64encode(text.encode()).decode()}"
            saved = f"{run.name.replace('/', '_')}.yaml"
            file += f'<p><a download="{escape(saved)}" href="{link}">Save its config.yaml</a></p>'
            file += f'<pre tabindex="0">{escape(text)}</pre>'
        is_open = " open" if len(runs) == 1 else ""
        details.append(f"<details{is_open}><summary>{escape(run.name)}</summary>{file}</details>")
    return "\n".join(details)


def commands(run: Run) -> list[str]:
    """The shell commands that repeat a run under a new version name; comments name what they cannot restore."""
    if not run.config:
        return ["# it has no config.yaml, so it cannot be repeated"]
    recorded = run.status.get("environment", {})
    lines = []
    if "git_commit" in recorded:
        lines.append(f"git checkout {recorded['git_commit']}")
        if recorded.get("git_changes"):
            lines.append("# tracked files had changes that are not in this commit")
    again = f"{run.config.get('version') or run.path.name}-again"
    lines.append(
        f"python -m tsl.fit --config {shlex.quote(str(run.path / 'config.yaml'))} --version {shlex.quote(again)}"
    )
    if run.config.get("ckpt_path") is not None:  # it was resumed, but its repetition starts from the beginning
        lines[-1] += " --ckpt_path null"
    return lines


def environments(runs: Sequence[Run]) -> str:
    """The environments of the runs as HTML; runs with the same environment share one entry."""
    by_environment: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        by_environment.setdefault(tuple(_environment_lines(run.status)), []).append(run.name)
    parts = []
    for lines, names in by_environment.items():
        which = f"All {len(names)} runs" if len(names) == len(runs) > 1 else ", ".join(names)
        parts.append(f"<h3>{escape(which)}</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>")
    return "\n".join(parts)


def _environment_lines(status: dict[str, Any]) -> list[str]:
    recorded = status.get("environment")
    known = recorded or environment()
    lines = [] if recorded else ["Not recorded with the run. This is the environment in which the report was written:"]
    commit = known.get("git_commit")
    if commit:
        lines.append(f"git commit {commit}{', with uncommitted changes' if known.get('git_changes') else ''}")
    if recorded:
        lines.append(f"{status.get('machine', 'an unknown machine')}; trained on {status.get('device', '?')}")
    else:
        lines.append(machine())
    versions = ", ".join(f"{name} {version}" for name, version in known.get("packages", {}).items())
    return [*lines, f"Python {known.get('python', '?')}, {versions}"]
