"""Continue training students to a critical point and say which kind it is: `python -m tsl.polish`, `tsl polish`."""

import sys

from tsl.experiments.polish import main

if __name__ == "__main__":
    sys.exit(main())
