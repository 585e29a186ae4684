"""What the site's hand-written words say beside the code; `make docs` checks the rest."""

import re

import pytest

from docs import generate
from tests.fitting import ROOT
from tsl import names
from tsl.modules import TeacherStudent
from tsl.runs.records import COLUMNS


def test_every_logged_scalar_has_words() -> None:
    page = (ROOT / "docs/reference/scalars.md").read_text()
    said = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(.+?)`", row)}
    of_layer = ("specialization/layer<l>/" + name for name in names.LAYER_SCALARS.values())
    alignment = "alignment/layer<l>/<measure>"
    expected = {names.TRAIN_LOSS, names.LEARNING_RATE, names.VAL_LOSS, *of_layer, alignment, alignment + names.NULL}
    expected |= {f"val/{column}" for column in names.ACCURACY_COLUMNS}
    assert said - {"train/labels", "train/teacher", "train/<term>"} == expected


def test_every_table_and_column_has_words() -> None:
    page = generate.records_page()
    for table, columns in COLUMNS.items():
        _, _, section = page.partition(f"\n## {table}\n")
        section = section.partition("\n## ")[0]
        assert [*re.findall(r"^\| `(\w[\w.]*)` \| \S", section, re.MULTILINE)][: len(columns)] == [*columns]


def test_a_column_without_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COLUMNS, "losses", (*COLUMNS["losses"], "surprise"))
    with pytest.raises(ValueError, match=r"losses: no words for \['surprise'\]"):
        generate.records_page()


def test_kinds_of_values_are_in_words() -> None:
    kinds = {
        action.dest: generate.kind_of_value(action._typehint) for action in generate.class_arguments(TeacherStudent)
    }
    assert kinds["trained_layers"] == "list of integer ≥ 1 or null"
    assert kinds["on_divergence"] == "`stop` or `freeze`"
    assert kinds["optimizer"] == "`Optimizer`"
    assert kinds["noise"].startswith("number ≥ 0 or list of number ≥ 0; ")
    assert not {"replicates", "seed"} & kinds.keys()
