"""For people in a checkout: the same as `python -m tsl.prune_student`."""

import sys

from tsl.experiments.prune_student import main

if __name__ == "__main__":
    sys.exit(main())
