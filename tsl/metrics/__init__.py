"""How close a student's nodes and layers are to a teacher's: torchmetrics Metrics on pure functions.

Letters, once for the whole package; the paper's: t_j post-activation output of teacher node j of m, s_k of student node
k of n, N samples (for a convolution every position is one), R replicates, ρ_jk node correlation, O_jk boundary
observation, θ threshold, w and b a node's weights and bias, v its fan-out weights, d inputs and c outputs of a network.
A bar is a mean over samples. T and S are the matrices `[samples, nodes]` of a layer, centred.

Functions (`tsl.metrics.functional`) take `[..., samples, nodes]`, Metrics `[samples, nodes]` or `[R, samples, nodes]`.
"""

from tsl.metrics.boundary_observation import BoundaryObservation
from tsl.metrics.node_correlation import NodeCorrelation

__all__ = ["BoundaryObservation", "NodeCorrelation"]
