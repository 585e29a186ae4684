"""tsl: teacher-student experiments in PyTorch Lightning."""

import os

# Threads of torch that wait for others sleep rather than spin: where another program shares the cores, spinning takes
# the time that the others would need. OpenMP reads this once, so it has to stand before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
