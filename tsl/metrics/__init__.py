"""How close a student's nodes and layers are to a teacher's: torchmetrics Metrics on pure functions.

Letters, once for the whole package; the paper's: t_j post-activation output of teacher node j of m, s_k of student node
k of n, N samples (for a convolution every position is one), R replicates, ρ_jk node correlation, O_jk boundary
observation, θ threshold, w and b a node's weights and bias, v its fan-out weights, d inputs and c outputs of a network.
A bar is a mean over samples. T and S are the matrices `[samples, nodes]` of a layer, centred.

Functions (`tsl.metrics.functional`) take `[..., samples, nodes]`, Metrics `[samples, nodes]` or `[R, samples, nodes]`.
"""

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
