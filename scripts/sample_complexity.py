"""For people in a checkout: the same as `python -m tsl.sample_complexity`."""

import sys

from tsl.experiments.sample_complexity import main

if __name__ == "__main__":
    sys.exit(main())
