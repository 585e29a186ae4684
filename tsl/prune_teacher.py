"""Prune a trained teacher and continue its training: `python -m tsl.prune_teacher`, `tsl prune-teacher`."""

import sys

from tsl.experiments.prune_teacher import main

if __name__ == "__main__":
    sys.exit(main())
