"""The same program as `python -m tsl.sweep`, to be run from a checkout."""

import sys

from tsl.experiments.sweep import main

if __name__ == "__main__":
    sys.exit(main())
