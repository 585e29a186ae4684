"""A real SLURM of one node on this machine, for the time of a test."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

CONFIGURATION = """\
ClusterName=tsl
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
KillWait=2
SchedulerParameters=sched_interval=1
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=tiny Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
"""A job that is queued again starts `cred_expire` seconds later; a cancelled one has `KillWait` seconds to end."""


def why_not() -> str | None:
    """Why SLURM cannot be started here, or None."""
    programs = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
    if missing := [name for name in programs if shutil.which(name, path=_path()) is None]:
        return f"{', '.join(missing)}: not installed (Debian: slurm-wlm and munge)"
    return None if os.geteuid() == 0 else "slurmd has to be started by root"


@contextmanager
def slurm_node(folder: Path) -> Iterator[dict[str, str]]:
    """Start it, with two CPUs; gives the environment in which its commands find it, and cancels its jobs at the end."""
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _path()}
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    configuration = CONFIGURATION.format(host=host, folder=folder, ports=(_free_port(), _free_port()))
    (folder / "slurm.conf").write_text(configuration)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    files = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "pid-file")]
    files += [f"--seed-file={folder}/munge.seed", "--force"]  # as root, and below a folder that is not root's alone
    with ExitStack() as daemons:
        for command in (["munged", "--foreground", *files], ["slurmctld", "-D"], ["slurmd", "-D", "-N", host]):
            log = daemons.enter_context((folder / f"{command[0]}.log").open("w"))
            daemon = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            daemons.callback(_end, daemon)
        wait_until(lambda: _asked(["sinfo", "--noheader", "--format=%T"], environment) == "idle")
        try:
            yield environment
        finally:
            subprocess.run(["scancel", "--me"], env=environment)
            wait_until(lambda: _asked(["squeue", "--noheader"], environment) == "")


def job_ids(environment: dict[str, str]) -> list[str]:
    """The jobs that wait or run, those of an array one by one in its order."""
    return sorted(_asked(["squeue", "--noheader", "--array", "--format=%i"], environment).split())


def wait_until(there: Callable[[], bool]) -> None:
    """Wait up to ten minutes until something is there."""
    until = time.monotonic() + 600
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _asked(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"  # where daemons lie


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
