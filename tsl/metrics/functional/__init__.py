"""Measures as pure functions, most of them of activations `[..., samples, nodes]`."""

from tsl.metrics.functional.activations import positions_as_samples
from tsl.metrics.functional.best_correlation import BestCorrelation, best_correlation
from tsl.metrics.functional.boundary_observation import boundary_observation, observed
from tsl.metrics.functional.canonical_correlation import cca, svcca
from tsl.metrics.functional.competition import competition
from tsl.metrics.functional.cosine_correlation import cosine_correlation
from tsl.metrics.functional.dead_node_fraction import dead_node_fraction
from tsl.metrics.functional.debiased_linear_cka import debiased_linear_cka
from tsl.metrics.functional.fan_out_strength import fan_out_strength
from tsl.metrics.functional.linear_cka import linear_cka
from tsl.metrics.functional.linear_regression_r2 import linear_regression_r2
from tsl.metrics.functional.match_count import match_count
from tsl.metrics.functional.node_correlation import node_correlation
from tsl.metrics.functional.null_level import null_level, shuffled_samples
from tsl.metrics.functional.one_to_one import OneToOne, one_to_one, one_to_one_mean
from tsl.metrics.functional.procrustes import procrustes_distance, procrustes_similarity
from tsl.metrics.functional.pwcca import pwcca
from tsl.metrics.functional.rank_correlation import rank_correlation
from tsl.metrics.functional.rbf_cka import rbf_cka
from tsl.metrics.functional.recovered import recovered
from tsl.metrics.functional.redundancy import redundancy
from tsl.metrics.functional.rho_mean import rho_mean
from tsl.metrics.functional.rv_coefficient import rv_coefficient
from tsl.metrics.functional.soft_matching import soft_matching
from tsl.metrics.functional.weight_alignment import WeightAlignment, weight_alignment
from tsl.names import THRESHOLDS

__all__ = [
    "THRESHOLDS",
    "BestCorrelation",
    "OneToOne",
    "WeightAlignment",
    "best_correlation",
    "boundary_observation",
    "cca",
    "competition",
    "cosine_correlation",
    "dead_node_fraction",
    "debiased_linear_cka",
    "fan_out_strength",
    "linear_cka",
    "linear_regression_r2",
    "match_count",
    "node_correlation",
    "null_level",
    "observed",
    "one_to_one",
    "one_to_one_mean",
    "positions_as_samples",
    "procrustes_distance",
    "procrustes_similarity",
    "pwcca",
    "rank_correlation",
    "rbf_cka",
    "recovered",
    "redundancy",
    "rho_mean",
    "rv_coefficient",
    "shuffled_samples",
    "soft_matching",
    "svcca",
    "weight_alignment",
]
