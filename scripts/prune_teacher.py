"""For people in a checkout: the same as `python -m tsl.prune_teacher`."""

import sys

from tsl.experiments.prune_teacher import main

if __name__ == "__main__":
    sys.exit(main())
