"""For people in a checkout: the same as `python -m tsl.reproduce`."""

import sys

from tsl.experiments.reproduce import main

if __name__ == "__main__":
    sys.exit(main())
