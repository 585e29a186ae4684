"""Compare a trained two-layer run with the theorem: `python -m tsl.certify`, `tsl certify`."""

import sys

from tsl.experiments.certify import main

if __name__ == "__main__":
    sys.exit(main())
