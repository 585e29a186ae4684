"""`python -m tsl.runs [DIR]`: see `tsl.runs.listing`."""

import sys

from tsl.runs.listing import main

if __name__ == "__main__":
    sys.exit(main())
