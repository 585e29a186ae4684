import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from tsl.theory.tipping_point import TippingPoint, bisect, growth, runs_left, tipping_point

REPLICATES = 16


def logistic(size: float, middle: float, steepness: float = 3.0) -> float:
    return 1 / (1 + (middle / size) ** steepness)


def search(
    curve: Callable[[int], float], level: float, precision: float, least: int = 10, most: int = 10_000
) -> tuple[dict[int, NDArray[np.float64]], int]:
    """Bisect to the end on a curve without noise; gives the shares, and the runs that were foreseen at the start."""
    shares: dict[int, NDArray[np.float64]] = {}
    bracket = bisect(shares, least, most, level, precision)
    foreseen = runs_left(bracket, shares, least, most, precision)
    while bracket.next_size is not None:
        left = runs_left(bracket, shares, least, most, precision)
        shares[bracket.next_size] = np.full(REPLICATES, curve(bracket.next_size))
        bracket = bisect(shares, least, most, level, precision)
        assert runs_left(bracket, shares, least, most, precision) <= left  # rounding to whole sizes may cost one more
    return shares, foreseen


@pytest.mark.parametrize("level", [0.5, 0.9])
@pytest.mark.parametrize("middle", [23.0, 400.0, 2500.0])
@pytest.mark.parametrize("precision", [1.02, 1.5])
def test_the_crossing_of_a_known_curve_is_found(level: float, middle: float, precision: float) -> None:
    crossing = middle * (level / (1 - level)) ** (1 / 3)
    shares, foreseen = search(lambda size: logistic(size, middle), level, precision)
    lower, upper, _ = bisect(shares, 10, 10_000, level, precision)
    assert lower <= crossing <= upper
    assert upper <= precision * lower or upper == lower + 1
    point = tipping_point(shares, level)
    assert point.size == pytest.approx(crossing, rel=0.05)
    assert lower <= point.size <= upper
    assert point[:3] == pytest.approx((point.size,) * 3)  # the replicates do not scatter
    assert len(shares) <= foreseen + 1
    assert runs_left(bisect(shares, 10, 10_000, level, precision), shares, 10, 10_000, precision) == 0


@pytest.mark.parametrize(("middle", "size", "measured"), [(1.0, 0.0, 2), (1e6, math.inf, 2)])
def test_a_crossing_outside_ends_the_search(middle: float, size: float, measured: int) -> None:
    shares, _ = search(lambda size: logistic(size, middle), 0.9, 1.1)
    assert len(shares) == measured
    assert tipping_point(shares, 0.9)[:3] == (size, size, size)


def test_between_two_sizes_it_is_linear_in_the_logarithm() -> None:
    shares = {10: np.array([0.0, 0.0]), 1000: np.array([1.0, 1.0])}
    assert tipping_point(shares, 0.5).size == pytest.approx(100)
    assert tipping_point(shares, 0.25).size == pytest.approx(10**1.5)


def noisy(middle: float, seed: int, sizes: list[int], nodes: int = 5) -> dict[int, NDArray[np.float64]]:
    """Shares of replicates with a middle of their own each, so that the nodes of a replicate are not independent."""
    random = np.random.default_rng(seed)
    middles = middle * np.exp(0.3 * random.standard_normal(REPLICATES))
    return {size: random.binomial(nodes, [logistic(size, own) for own in middles]) / nodes for size in sizes}


def test_the_estimate_and_its_interval_are_those_of_sklearn_and_a_loop() -> None:
    shares = noisy(100, 0, [10, 40, 70, 90, 130, 200, 500])
    x, level = np.log(list(shares)), 0.6

    def crossing(replicates: list[int]) -> float:
        mean = [float(np.mean([of_size[r] for r in replicates])) for of_size in shares.values()]
        fitted = IsotonicRegression().fit_transform(x, mean)
        fine = np.linspace(x[0], x[-1], 200_001)
        return math.exp(fine[np.argmax(np.interp(fine, x, fitted) >= level - 1e-12)])

    point = tipping_point(shares, level)
    assert point.size == pytest.approx(crossing(list(range(REPLICATES))), rel=1e-4)
    random = np.random.default_rng(1)
    draws = [crossing(random.integers(REPLICATES, size=REPLICATES).tolist()) for _ in range(300)]
    assert point.low == pytest.approx(np.quantile(draws, 0.025), rel=0.05)
    assert point.high == pytest.approx(np.quantile(draws, 0.975), rel=0.05)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """True crossing: of the mean over an infinity of replicates, worked out on a grid of their middles."""
    sizes = [20, 40, 60, 80, 100, 120, 150, 200, 300, 600]
    middles = 100 * np.exp(0.3 * np.linspace(-6, 6, 4001))
    weights = np.exp(-0.5 * np.linspace(-6, 6, 4001) ** 2)
    fine = np.geomspace(50, 400, 2001)
    mean = [np.average([1 / (1 + (middles / size) ** 3.0)], axis=1, weights=weights).item() for size in fine]
    truth = fine[np.searchsorted(mean, 0.7)]
    points = [tipping_point(noisy(100, seed, sizes), 0.7) for seed in range(60)]
    covered = sum(point.low <= truth <= point.high for point in points)
    assert covered >= 51  # of 60; fewer have a chance below 1e-3 at 95 %, and bootstraps fall a little short
    widths = np.log([point.high / point.low for point in points]) / (2 * 1.96)
    scatter = np.std(np.log([point.size for point in points]))
    assert widths.mean() == pytest.approx(scatter, rel=0.3)  # no wider than it has to be


def test_an_interval_that_reaches_beyond_the_sizes_is_open() -> None:
    shares = {10: np.array([0.0, 0.0, 0.0]), 20: np.array([1.0, 1.0, 0.0])}
    point = tipping_point(shares, 0.6)
    assert 10 < point.size < 20
    assert point.high == math.inf


def normal_draws(size: float, spread: float, seed: int) -> TippingPoint:
    draws = size * np.exp(spread * np.random.default_rng(seed).standard_normal(2000))
    return TippingPoint(size, 0.0, 0.0, draws)


def test_growth_of_a_power_law_with_the_standard_error_of_least_squares() -> None:
    values, spread = np.array([1.0, 2.0, 5.0, 10.0]), 0.2
    fit = growth({value: normal_draws(30 * value**2.5, spread, seed) for seed, value in enumerate(values)})
    assert fit is not None
    assert fit.exponent == pytest.approx(2.5)
    assert fit.intercept == pytest.approx(math.log(30))
    x = np.log(values)
    assert fit.standard_error == pytest.approx(spread / math.sqrt(((x - x.mean()) ** 2).sum()), rel=0.1)


def test_growth_leaves_out_what_was_not_found() -> None:
    known = {1.0: normal_draws(10, 0.1, 0), 4.0: normal_draws(20, 0.1, 1)}
    unknown = {2.0: TippingPoint(math.inf, 0, 0, np.full(2000, math.inf)), 3.0: TippingPoint(0, 0, 0, np.zeros(2000))}
    assert growth(known) == growth(known | unknown)
    assert growth(unknown | {1.0: known[1.0]}) is None


def test_draws_beyond_the_sizes_do_not_make_the_growth_infinite() -> None:
    point = normal_draws(20, 0.1, 1)
    point.draws[:5] = math.inf
    point.draws[5:9] = 0
    fit = growth({1.0: normal_draws(10, 0.1, 0), 4.0: point})
    assert fit is not None
    assert fit.standard_error == pytest.approx(math.sqrt(2) * 0.1 / math.log(4), rel=0.1)
