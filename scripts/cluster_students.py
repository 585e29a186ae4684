"""For people in a checkout: the same as `python -m tsl.cluster_students`."""

import sys

from tsl.experiments.cluster_students import main

if __name__ == "__main__":
    sys.exit(main())
