"""The training size at which a share crosses a level, such as the share of recovered nodes: search, estimate, growth.

For each size N the share of recovered teacher nodes is given for R replicates, `[R]`. Replicates are independent, but
the nodes of one replicate are not, because they share teacher, student and inputs. The interval is therefore a
bootstrap over whole replicates (a cluster bootstrap: Davison and Hinkley 1997, section 3.8); a binomial interval over
nodes would be too narrow. A replicate has the same seed at every size, so it is drawn with all its sizes. The only
assumption about the curve is that it grows with N: its estimate is the isotonic regression of the mean share,
interpolated linearly in log N. A logistic curve would also need the share to reach 1, which it does not if students run
out of steps.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

Shares = Mapping[int, NDArray[np.float64]]
"""The share recovered in every replicate, `[R]`, by training size."""

DRAWS = 2000


class TippingPoint(NamedTuple):
    """The size at which the mean share crosses the level.

    Attributes:
        size: N*; 0 if the smallest size is above the level already, infinite if no size reaches it.
        low: Lower end of its 95 % interval, which may be 0.
        high: Upper end, which may be infinite.
        draws: N* of each bootstrap draw, `[DRAWS]`. Two tipping points with the same number of replicates have draws of
            the same replicates.
    """

    size: float
    low: float
    high: float
    draws: NDArray[np.float64]

    @property
    def found(self) -> bool:
        """Whether N* is within the measured sizes."""
        return 0 < self.size < math.inf


class Growth(NamedTuple):
    """The fit log N* = intercept + exponent · log(value) by least squares.

    Attributes:
        exponent: b.
        intercept: a.
        standard_error: Standard deviation of the exponent over bootstrap draws, that is, from the scatter of the
            replicates. It does not show whether the growth is a power law at all.
    """

    exponent: float
    intercept: float
    standard_error: float


class Bracket(NamedTuple):
    """The state of the bisection on log N.

    Attributes:
        lower: The largest size known to be below the level.
        upper: The smallest size known not to be.
        next_size: The size to measure next; None if the search has ended.
    """

    lower: int
    upper: int
    next_size: int | None


def bisect(shares: Shares, least: int, most: int, level: float, precision: float) -> Bracket:
    """The bracket after the sizes measured so far; a pure function of them, so that a search can be resumed.

    Both ends are measured first. The search ends at once if they do not enclose the level.

    Args:
        shares: The sizes measured so far.
        least: Smallest size.
        most: Largest size.
        level: The mean share to find.
        precision: Ratio of upper to lower at which to stop.
    """
    for end in (least, most):
        if end not in shares:
            return Bracket(least, most, end)
    if shares[least].mean() >= level or shares[most].mean() < level:
        return Bracket(least, most, None)
    lower, upper = least, most
    while upper > precision * lower:
        middle = round(math.sqrt(lower * upper))
        if middle in (lower, upper):
            break
        if middle not in shares:
            return Bracket(lower, upper, middle)
        if shares[middle].mean() < level:
            lower = middle
        else:
            upper = middle
    return Bracket(lower, upper, None)


def runs_left(bracket: Bracket, shares: Shares, least: int, most: int, precision: float) -> int:
    """How many sizes bisection has yet to measure, up to rounding to whole sizes; arguments as for `bisect`."""
    if bracket.next_size is None:
        return 0
    ends = len({least, most} - set(shares))
    halvings = math.log2(math.log(bracket.upper / bracket.lower) / math.log(precision))
    return ends + max(0, math.ceil(min(halvings, math.log2(bracket.upper - bracket.lower))))


def tipping_point(shares: Shares, level: float) -> TippingPoint:
    """Estimate where the mean share crosses the level, with a 95 % percentile bootstrap interval.

    Args:
        shares: Shares of at least one size, of the same replicates at each.
        level: The mean share to find, in (0, 1].
    """
    log_sizes = np.log(sorted(shares))
    by_size = np.stack([shares[size] for size in sorted(shares)])  # (sizes, R)
    replicates = by_size.shape[1]
    chosen = np.random.default_rng(0).integers(replicates, size=(DRAWS, replicates))
    means = by_size[:, chosen].mean(axis=2)  # (sizes, DRAWS)
    draws = np.array([_crossing(log_sizes, mean, level) for mean in means.T])
    low, high = np.quantile(draws, [0.025, 0.975], method="inverted_cdf")  # does not average a number and infinity
    return TippingPoint(_crossing(log_sizes, by_size.mean(axis=1), level), float(low), float(high), draws)


def growth(points: Mapping[float, TippingPoint]) -> Growth | None:
    """Fit how the tipping point grows with a value, over those that are finite and not 0.

    If a tipping point lies outside the measured sizes in some bootstrap draws, these draws count with the nearest value
    inside. With few replicates the standard error is then rather too small, but not infinite.

    Args:
        points: The tipping points by value, of the same number of replicates.

    Returns:
        The fit, or None with fewer than two tipping points.
    """
    known = {value: point for value, point in points.items() if point.found}
    if len(known) < 2:
        return None
    log_values = np.log(list(known))
    exponent, intercept = np.polyfit(log_values, np.log([point.size for point in known.values()]), 1)
    draws = np.stack([_inside(point.draws) for point in known.values()])  # (values, DRAWS)
    exponents = np.polyfit(log_values, np.log(draws), 1)[0]
    return Growth(float(exponent), float(intercept), float(exponents.std()))


def _crossing(log_sizes: NDArray[np.float64], mean: NDArray[np.float64], level: float) -> float:
    fitted = isotonic_regression(mean).x
    # By rounding, a mean of equal numbers may differ from them in the last bit, and a share from the level.
    above = int(np.searchsorted(fitted, level - 1e-12))
    if above == 0:
        return 0.0
    if above == len(fitted):
        return math.inf
    fraction = (level - fitted[above - 1]) / (fitted[above] - fitted[above - 1])
    return math.exp(log_sizes[above - 1] + fraction * (log_sizes[above] - log_sizes[above - 1]))


def _inside(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = draws[(draws > 0) & np.isfinite(draws)]
    return draws.clip(inside.min(), inside.max())
