"""Train all combinations of settings, with many seeds: `python -m tsl.sweep SWEEP.yaml`, `tsl sweep SWEEP.yaml`."""

import sys

from tsl.experiments.sweep import main

if __name__ == "__main__":
    sys.exit(main())
