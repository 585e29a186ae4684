"""Recover a teacher from the nodes of many students: `python -m tsl.cluster_students`, `tsl cluster-students`."""

import sys

from tsl.experiments.cluster_students import main

if __name__ == "__main__":
    sys.exit(main())
