import sys
from pathlib import Path

# The spawned processes of test_metrics.py import the tester by name, so it is imported by name everywhere.
sys.path.insert(0, str(Path(__file__).parent))
