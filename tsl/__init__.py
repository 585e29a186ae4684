"""tsl: teacher-student experiments in PyTorch Lightning."""

import os

# Threads of torch that wait for other threads sleep instead of spinning. If other programs share the cores, spinning
# would take their time. OpenMP reads this variable once, so it has to be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
