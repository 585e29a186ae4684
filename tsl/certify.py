"""Hold the theorem against a trained two-layer run: `python -m tsl.certify`, `tsl certify`."""

import sys

from tsl.experiments.certify import main

if __name__ == "__main__":
    sys.exit(main())
