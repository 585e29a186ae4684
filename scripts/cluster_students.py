"""The same program as `python -m tsl.cluster_students`, to be run from a checkout."""

import sys

from tsl.experiments.cluster_students import main

if __name__ == "__main__":
    sys.exit(main())
