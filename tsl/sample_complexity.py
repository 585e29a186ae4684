"""Find the training size at which nodes are recovered: `python -m tsl.sample_complexity`, `tsl sample-complexity`."""

import sys

from tsl.experiments.sample_complexity import main

if __name__ == "__main__":
    sys.exit(main())
