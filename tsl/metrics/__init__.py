"""How close a student's nodes and layers are to a teacher's: torchmetrics Metrics, each on a pure function.

Letters in the whole package, as in the paper: t_j post-activation output of teacher node j of m, s_k of student node k
of n, N samples (every position of a convolution's output is a sample), R replicates, ρ_jk node correlation, O_jk
boundary observation, θ threshold, w and b a node's weights and bias, v its fan-out weights, d inputs and c outputs of a
network. A bar is a mean over samples. T and S are the matrices `[samples, nodes]` of a layer, centred.

Functions (`tsl.metrics.functional`) take `[..., samples, nodes]`, Metrics `[samples, nodes]` or `[R, samples, nodes]`.

If activations are NaN or infinite, a function of activations raises a ValueError that names the network and the number
of such values. A Metric returns NaN for the replicate that has them (for measures of pairs of nodes, for the pairs with
such a node), so that one replicate that diverges does not end the run of the others. Functions of correlations count
NaN as no match: it is above no threshold, and every mean over it is NaN.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tsl.metrics.boundary_observation import BoundaryObservation
    from tsl.metrics.canonical_correlation import CCA, SVCCA
    from tsl.metrics.cosine_correlation import CosineCorrelation
    from tsl.metrics.dead_node_fraction import DeadNodeFraction
    from tsl.metrics.debiased_linear_cka import DebiasedLinearCKA
    from tsl.metrics.linear_cka import LinearCKA
    from tsl.metrics.linear_regression_r2 import LinearRegressionR2
    from tsl.metrics.node_correlation import NodeCorrelation
    from tsl.metrics.procrustes import ProcrustesDistance, ProcrustesSimilarity
    from tsl.metrics.pwcca import PWCCA
    from tsl.metrics.rank_correlation import RankCorrelation
    from tsl.metrics.rbf_cka import RBFCKA
    from tsl.metrics.rv_coefficient import RVCoefficient

_MODULES = {
    "BoundaryObservation": "boundary_observation",
    "CCA": "canonical_correlation",
    "SVCCA": "canonical_correlation",
    "CosineCorrelation": "cosine_correlation",
    "DeadNodeFraction": "dead_node_fraction",
    "DebiasedLinearCKA": "debiased_linear_cka",
    "LinearCKA": "linear_cka",
    "LinearRegressionR2": "linear_regression_r2",
    "NodeCorrelation": "node_correlation",
    "ProcrustesDistance": "procrustes",
    "ProcrustesSimilarity": "procrustes",
    "PWCCA": "pwcca",
    "RankCorrelation": "rank_correlation",
    "RBFCKA": "rbf_cka",
    "RVCoefficient": "rv_coefficient",
}

__all__ = [
    "CCA",
    "PWCCA",
    "RBFCKA",
    "SVCCA",
    "BoundaryObservation",
    "CosineCorrelation",
    "DeadNodeFraction",
    "DebiasedLinearCKA",
    "LinearCKA",
    "LinearRegressionR2",
    "NodeCorrelation",
    "ProcrustesDistance",
    "ProcrustesSimilarity",
    "RVCoefficient",
    "RankCorrelation",
]


def __getattr__(name: str) -> object:
    """Load a Metric when it is asked for: torchmetrics loads matplotlib, which the functions do not need."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
