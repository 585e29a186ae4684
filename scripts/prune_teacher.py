"""The same program as `python -m tsl.prune_teacher`, to be run from a checkout."""

import sys

from tsl.experiments.prune_teacher import main

if __name__ == "__main__":
    sys.exit(main())
