"""For people in a checkout: the same as `python -m tsl.polish`."""

import sys

from tsl.experiments.polish import main

if __name__ == "__main__":
    sys.exit(main())
