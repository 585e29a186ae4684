"""Run and draw an experiment of the paper: `python -m tsl.reproduce`, `tsl reproduce`."""

import sys

from tsl.experiments.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
