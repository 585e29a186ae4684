"""Names and thresholds are said once, in tsl/names.py."""

import ast

from tests.fitting import ROOT
from tsl import names

SAID_ONCE = {names.NODE_RECOVERED, names.FRACTION_RECOVERED, names.TRAIN_LOSS, names.VAL_LOSS, names.VAL_ACCURACY}


def test_the_names_are_those_of_the_records() -> None:
    said = {"recovered_0.95", "recovered_fraction_0.95", "train/loss", "val/loss", "val/accuracy"}
    assert said == SAID_ONCE
    assert names.recovered_column(names.RECOVERED) == names.NODE_RECOVERED


def test_no_other_file_spells_them_out() -> None:
    again = []
    for path in (ROOT / "tsl").rglob("*.py"):
        values = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
        if path.name != "names.py" and SAID_ONCE & values:
            again.append(path.relative_to(ROOT))
    assert not again
