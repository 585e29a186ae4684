"""The same program as `python -m tsl.wandb.dashboard`, to be run from a checkout."""

import sys

from tsl.wandb.dashboard import main

if __name__ == "__main__":
    sys.exit(main())
