"""The same program as `python -m tsl.certify`, to be run from a checkout."""

import sys

from tsl.experiments.certify import main

if __name__ == "__main__":
    sys.exit(main())
