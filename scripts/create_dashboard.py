"""For people in a checkout: the same as `python -m tsl.wandb.dashboard`."""

import sys

from tsl.wandb.dashboard import main

if __name__ == "__main__":
    sys.exit(main())
