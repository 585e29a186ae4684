import base64

import numpy as np
import pandas as pd
import pytest

from tsl.report.l_shape import arrange
from tsl.report.packing import packed, room, spread


def test_correlations_keep_four_digits_and_nan():
    values = np.array([1.0, -1.0, 0.0, 0.123456, 0.99987, np.nan, 1.0000001])
    steps = np.frombuffer(base64.b64decode(packed(values, "correlation")["bytes"]), "<i2")
    assert steps[5] == -32768
    np.testing.assert_allclose(np.delete(steps / 32767, 5), np.delete(values, 5), atol=1.6e-5)


def test_other_numbers_as_they_are():
    values = np.array([[1e-30, 2.5], [np.nan, np.inf]])
    np.testing.assert_array_equal(
        np.frombuffer(base64.b64decode(packed(values)["bytes"]), "<f4"), values.ravel().astype("f4")
    )
    assert np.frombuffer(base64.b64decode(packed([0, 65535], "uint16")["bytes"]), "<u2").tolist() == [0, 65535]


@pytest.mark.parametrize(
    ("epochs", "replicates", "size", "budget", "kept"),
    [
        (101, 32, 100, 1e9, (101, 32)),
        (101, 32, 100, 64_000, (20, 32)),  # 640 slices
        (101, 32, 100, 8_000, (8, 10)),  # 80 slices: replicates go before the last epochs do
        (101, 32, 100, 50, (2, 1)),
        (1, 3, 100, 50, (1, 1)),
    ],
)
def test_what_there_is_room_for(epochs: int, replicates: int, size: int, budget: float, kept: tuple[int, int]):
    assert room(epochs, replicates, size, budget) == kept


@pytest.mark.parametrize("most", range(2, 30))
def test_epochs_spread_from_first_to_last_without_repeating(most: int):
    items = list(range(0, 50, 2))
    chosen = spread(items, most)
    assert len(chosen) == len(set(chosen)) == min(most, 25)
    assert (chosen[0], chosen[-1]) == (0, 48)
    assert chosen == sorted(chosen)
    assert set(chosen) <= set(items)


def test_a_table_is_arranged_with_gaps():
    frame = pd.DataFrame({"epoch": [5, 0, 9], "node": [1, 4, 1], "value": [0.5, 1.5, 7.0]})
    array = arrange(frame, "value", {"epoch": [0, 5], "node": [1, 4]})
    np.testing.assert_array_equal(array, [[np.nan, 1.5], [0.5, np.nan]])
