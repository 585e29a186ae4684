"""What report and listing still import from here; it goes when they read runs by `tsl.runs` alone."""

from collections.abc import Sequence
from typing import Any

from tsl.runs.settings import MULTIPLIER, POLARITY, RECORDING, differences, flatten

__all__ = ["MULTIPLIER", "POLARITY", "flatten", "setting_differences"]


def setting_differences(configs: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """The settings in which nested configurations differ."""
    return differences([flatten(config) for config in configs], RECORDING)
