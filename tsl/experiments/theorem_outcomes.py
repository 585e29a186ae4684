"""Statistics of the number of samples that recovery needs, beside the theorem's orders."""

from collections.abc import Sequence

from tsl.experiments.statistic import Statistic
from tsl.figures.sample_needs import needs_of
from tsl.runs import ReplicateGroup, Run
from tsl.theory.sample_needs import Exponent, exponents
from tsl.theory.tipping_point import TippingPoint


def samples_needed(group: ReplicateGroup) -> dict[str, Statistic | str]:
    """The number of inputs needed at each ε, with its 95 % interval, and the theorem's order over the samples needed.

    Args:
        group: All replicates of a run.
    """
    needs = needs_of(group.run)
    statistics: dict[str, Statistic | str] = {"samples of an input": f"{needs[0].samples_each}"}
    statistics |= {f"inputs needed at ε = {need.epsilon:g}": need_in_words(need.inputs) for need in needs}
    for need in (needs[0], needs[-1]):
        ratio = f"{need.bound / need.samples.size:.1e}" if need.bound and need.inputs.found else "none"
        statistics[f"theorem's order over samples at ε = {need.epsilon:g}"] = ratio
    return statistics


def need_in_words(point: TippingPoint) -> str:
    """A number of samples needed, with its interval: "112 (98 to 130)"."""
    if not point.found:
        return "fewer than measured" if point.size == 0 else "more than measured"
    size, low, high = (f"{number:,.0f}" if number >= 100 else f"{number:.3g}" for number in point[:3])
    return f"{size} ({low} to {high})"


def growth_in_words(runs: Sequence[Run]) -> list[str]:
    """A sentence for each exponent fitted to the runs, with its 95 % interval, beside the theorem's exponent."""
    return [exponent_in_words(each) for each in exponents([need for run in runs for need in needs_of(run)])]


def exponent_in_words(each: Exponent) -> str:
    """An exponent as a sentence."""
    low, high = each.interval
    at = "" if each.epsilon is None else f" at ε = {each.epsilon:g}"
    theorem = "no order of the theorem" if each.order is None else f"theorem {each.order:g}"
    return (
        f"{each.kind}: {each.counted} needed{at} go as {each.axis} to the power {each.fit.exponent:.2f} "
        f"({low:.2f} to {high:.2f}, 95 %, {each.values} values; {theorem})"
    )
