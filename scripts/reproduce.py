"""The same program as `python -m tsl.reproduce`, to be run from a checkout."""

import sys

from tsl.experiments.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
