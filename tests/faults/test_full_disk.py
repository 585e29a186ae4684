"""A disk that is really full, of a few hundred kilobytes: one message, and the run goes on once there is room."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.processes import EPOCHS, assert_same_run
from tests.fitting import TINY
from tsl.fit import main
from tsl.runs import Run

MANY = pytest.mark.faults

ONLY_METRICS = ["--trainer.check_val_every_n_epoch", "100000", "--checkpoint.every_n_epochs", "100000"]
"""Settings with which metrics.csv is the only file that grows."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make a disk of so many kilobytes, or give it another size; skips where this process may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()

    def of_size(kilobytes: int, *options: str) -> Path:
        mount = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={kilobytes}k"]), "tmpfs", str(place)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    if sys.platform != "linux":
        pytest.skip("tmpfs is of Linux")
    yield of_size
    subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)  # its files may still be open


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the runs that nothing has disturbed."""
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize("kilobytes", [400, *(pytest.param(size, marks=MANY) for size in range(120, 800, 40))])
def test_a_run_on_a_full_disk_goes_on_once_there_is_room(
    kilobytes: int,
    disk: Callable[..., Path],
    whole: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [*TINY, *EPOCHS, "--version", "run", "--trainer.default_root_dir"]
    if not (whole / "tiny/run").exists():
        main([*arguments, str(whole)])
    root = disk(kilobytes)
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, str(root)])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("error: ") == message.count("\n") == 1, message
    assert re.search(r" cannot be written \(.*No space left on device\): make room", message), message
    run = root / "tiny/run"
    started = (run / "config.yaml").exists()
    assert not started or Run(run).state == "resumable"
    disk(64_000, "remount")
    main([*arguments, str(root), *(["--ckpt_path", "last"] if started else [])])
    assert_same_run(whole / "tiny/run", run)
    assert not list(run.rglob(".*"))


@pytest.mark.parametrize("kilobytes", [72, *(pytest.param(size, marks=MANY) for size in range(60, 100, 4))])
def test_the_only_file_that_grows_is_metrics(
    kilobytes: int, disk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = disk(kilobytes)
    with pytest.raises(SystemExit):
        main([*TINY, "--trainer.max_epochs", "2000", *ONLY_METRICS, "--trainer.default_root_dir", str(root)])
    assert "metrics.csv cannot be written (No space left on device)" in capsys.readouterr().err
    assert Run(root / "tiny/version_0").state == "resumable"


@pytest.mark.parametrize("kilobytes", [16, 52])  # in the first file, and in the first evaluation
def test_a_start_on_a_full_disk_leaves_nothing(
    kilobytes: int, disk: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = disk(kilobytes)
    with pytest.raises(SystemExit):
        main([*TINY, *EPOCHS, *ONLY_METRICS, "--version", "sparse", "--trainer.default_root_dir", str(root)])
    message = capsys.readouterr().err
    assert "No space left on device" in message
    assert message.count("error: ") == message.count("\n") == 1, message
    assert not list(root.iterdir())
