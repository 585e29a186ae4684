"""Prune the nodes of a trained student that did not specialize: `python -m tsl.prune_student`, `tsl prune-student`."""

import sys

from tsl.experiments.prune_student import main

if __name__ == "__main__":
    sys.exit(main())
