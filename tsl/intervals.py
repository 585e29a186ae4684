"""A 95 % interval from leave-one-out values, of which each leaves out one group of inputs or one seed."""

from collections.abc import Sequence
from functools import cache

import numpy as np


def jackknife(value: float, without: Sequence[float], least: float, most: float = 1.0) -> tuple[float, float]:
    """The delete-a-group jackknife: the 95 % interval value ± t · √((G−1)/G · Σ(θ_g − θ̄)²) from G groups.

    Here t is the 97.5 % quantile of Student's distribution with G−1 degrees of freedom. `tsl.compare` divides the
    inputs into G = 10 groups while it reads them. A bootstrap of 10 groups would resample the same ten numbers, and its
    percentiles are too narrow for so few. A seed is a group of one.

    Args:
        value: The measure on all groups.
        without: θ_g, the measure on all groups but group g.
        least: The least value that the measure can have.
        most: The greatest value that it can have.

    Returns:
        The two ends of the interval, cut off at `least` and `most`; NaN for fewer than two groups.

    Source: Efron 1982, "The jackknife, the bootstrap and other resampling plans"; Kott 2001, "The delete-a-group
    jackknife".

    Example:
        >>> low, high = jackknife(0.5, [0.49, 0.5, 0.51], least=0.0)
        >>> round(low, 4), round(high, 4)
        (0.4503, 0.5497)
    """
    groups = len(without)
    if groups < 2:
        return np.nan, np.nan
    spread = np.sqrt((groups - 1) / groups * np.square(np.subtract(without, np.mean(without))).sum())
    half = float(_quantile(groups - 1) * spread)
    return max(value - half, least), min(value + half, most)


@cache
def _quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's distribution; cached, because it is the slowest part of an interval."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))
