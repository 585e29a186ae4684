"""For people in a checkout: the same as `python -m tsl.sweep`."""

import sys

from tsl.experiments.sweep import main

if __name__ == "__main__":
    sys.exit(main())
