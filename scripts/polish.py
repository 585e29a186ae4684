"""The same program as `python -m tsl.polish`, to be run from a checkout."""

import sys

from tsl.experiments.polish import main

if __name__ == "__main__":
    sys.exit(main())
