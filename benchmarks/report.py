"""Size and loading time of a report of 60 runs × 32 replicates: `python -m benchmarks.report`.

Two-layer runs of 20 teacher nodes at multipliers 1, 2, 5 and 10, 21 recorded epochs each, half of them with `pairs`.
They are written once, to --folder, which takes a minute or two.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.made_up_runs import fake_run
from tests.report.conftest import FLAGS
from tsl.report.__main__ import main as report

RUNS, REPLICATES, EPOCHS, TEACHER_NODES = 60, 32, 20, 20


def write_runs(folder: Path) -> list[Path]:
    """Write the runs; those that exist already are kept."""
    paths = []
    for index in range(RUNS):
        path = folder / "runs" / f"run{index:02d}"
        paths.append(path)
        if (path / "records/losses" / f"epoch_{EPOCHS:05d}.parquet").exists():
            continue
        multiplier, polarity = (1, 2, 5, 10)[index % 4], (0.5, 1.0, 2.0)[index // 4 % 3]
        sizes: dict[str, Any] = {"teacher_nodes": TEACHER_NODES, "replicates": REPLICATES, "max_epochs": EPOCHS}
        fake_run(path, multiplier, polarity, REPLICATES * index, pairs=index % 2 == 0, rate=index, **sizes)
    return paths


def loading_seconds(page: Path) -> tuple[float, float]:
    """From the start of a fresh Chromium's navigation until everything is drawn: by the clock, and of its CPU time."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        with webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "")) as browser:
            browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            browser.get(page.as_uri())
            clock = browser.execute_script("return performance.getEntriesByName('ready')[0].startTime") / 1000
            metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return clock, next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


def main() -> None:
    """Write the runs and their report, and open it five times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tsl_report_benchmark")
    folder = parser.parse_args().folder
    runs = write_runs(folder)
    page = folder / "report.html"
    start = time.perf_counter()
    report([*map(str, runs), "--out", str(page)])
    print(f"written in {time.perf_counter() - start:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
    clock, cpu = (sorted(seconds) for seconds in zip(*(loading_seconds(page) for _ in range(5)), strict=True))
    print(f"loaded and drawn in {clock[2]:.2f} s (median of 5; {clock[0]:.2f} to {clock[-1]:.2f})")
    print(f"of the page's CPU time {cpu[2]:.2f} s ({cpu[0]:.2f} to {cpu[-1]:.2f})")


if __name__ == "__main__":
    main()
