"""For people in a checkout: the same as `python -m tsl.certify`."""

import sys

from tsl.experiments.certify import main

if __name__ == "__main__":
    sys.exit(main())
