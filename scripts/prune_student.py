"""The same program as `python -m tsl.prune_student`, to be run from a checkout."""

import sys

from tsl.experiments.prune_student import main

if __name__ == "__main__":
    sys.exit(main())
