"""Compares any two networks, layer by layer and node by node.

`compare(a, b, inputs)` in Python, `python -m tsl.compare A B --data DIR` on the command line.
"""

from tsl.compare.comparison import Comparison
from tsl.compare.engine import compare, compare_many
from tsl.compare.measures import NAMES

__all__ = ["NAMES", "Comparison", "compare", "compare_many"]
