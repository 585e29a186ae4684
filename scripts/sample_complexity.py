"""The same program as `python -m tsl.sample_complexity`, to be run from a checkout."""

import sys

from tsl.experiments.sample_complexity import main

if __name__ == "__main__":
    sys.exit(main())
