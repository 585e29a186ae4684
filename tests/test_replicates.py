from typing import Any

import pytest

from tsl.errors import InputError
from tsl.replicates import PerReplicate, differing_settings, of_replicate, per_replicate


class Own:
    """A class of somebody else's."""

    def __init__(self, rate: PerReplicate[float], widths: list[int], scale: PerReplicate[float] | None = None) -> None:
        self.rate = rate
        self.widths = widths
        self.scale = scale


def config(**arguments: Any) -> dict[str, Any]:
    own = {"class_path": f"{__name__}.Own", "init_args": arguments}
    return {"data": {"class_path": "x.Y", "init_args": {"several": [{"class_path": "a.b"}, own]}}}


def test_a_list_repeats_along_the_replicates() -> None:
    assert per_replicate([1, 2], 6, "key") == [1, 2, 1, 2, 1, 2]
    assert per_replicate(3, 2, "key") == [3, 3]
    with pytest.raises(InputError, match=r"key lists 2 values for 3 replicates: give one value"):
        per_replicate([1, 2], 3, "key")


def test_settings_that_differ_are_found_in_any_class_by_their_dotted_names() -> None:
    found = differing_settings(config(rate=[0.1, 0.2], widths=[3, 4], scale=[5.0, 6.0]), 4)
    where = "data.init_args.several.1.init_args"
    assert found == {f"{where}.rate": [0.1, 0.2, 0.1, 0.2], f"{where}.scale": [5.0, 6.0, 5.0, 6.0]}


def test_one_value_and_equal_values_do_not_differ() -> None:
    assert differing_settings(config(rate=0.1, widths=[3, 4], scale=[5.0, 5.0]), 4) == {}


def test_a_list_that_does_not_fit_is_refused_by_its_dotted_name() -> None:
    with pytest.raises(InputError, match=r"data.init_args.several.1.init_args.rate lists 2 values for 3 replicates"):
        differing_settings(config(rate=[0.1, 0.2], widths=[]), 3)


def test_an_object_of_one_replicate_has_its_values() -> None:
    own = Own([0.1, 0.2], [3, 4])
    assert [of_replicate(own, replicate, 4).rate for replicate in range(4)] == [0.1, 0.2, 0.1, 0.2]
    assert of_replicate(own, 1, 4).widths == [3, 4]
    assert own.rate == [0.1, 0.2]
