"""Make the W&B workspace that shows tsl's runs: `python -m tsl.create_dashboard`, `tsl create-dashboard`."""

import sys

from tsl.wandb.dashboard import main

if __name__ == "__main__":
    sys.exit(main())
