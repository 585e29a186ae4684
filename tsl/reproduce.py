"""Train what a figure of the paper needs, and draw it: `python -m tsl.reproduce`, `tsl reproduce`."""

import sys

from tsl.experiments.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
