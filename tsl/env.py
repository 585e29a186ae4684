"""Print what a bug report needs (versions, hardware, threads and commit): `python -m tsl.env`."""

import argparse
import os
import sys
from collections.abc import Sequence

from tsl.runs.environment import environment
from tsl.runs.status import machine

THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment variables that set how many threads compute and how they wait."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the environment, one line for each item, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tsl.env", description="Print versions and hardware.")
    parser.parse_args(arguments)
    print("\n".join(f"{name}: {value}" for name, value in described().items()))
    return 0


def described() -> dict[str, str]:
    """Versions, hardware, threads and commit, in words."""
    import torch  # takes seconds, and --help does not need it

    found = environment()
    commit = found.get("git_commit", "none: tsl is not in a git repository")
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    variables = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    return {
        **found["packages"],
        "python": found["python"],
        "git commit": f"{commit}{' with changes' if found.get('git_changes') else ''}",
        "machine": f"{machine()}, of which this process may use {len(os.sched_getaffinity(0))}"
        if hasattr(os, "sched_getaffinity")
        else machine(),
        "GPU": ", ".join(devices) or "none that torch can use",
        "CUDA of torch": torch.version.cuda or "none",
        "threads of torch": str(torch.get_num_threads()),
        "environment variables": ", ".join(variables) or "none of those that set threads",
    }


if __name__ == "__main__":
    sys.exit(main())
