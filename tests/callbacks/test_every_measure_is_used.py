"""Every function of tsl.metrics.functional is called by the package, or can be recorded by name."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

import tsl.metrics
from tests.callbacks.test_measures_by_name import values
from tests.fitting import ROOT
from tsl.callbacks.frames import layer_frames
from tsl.metrics import functional
from tsl.names import THRESHOLDS

FUNCTIONS = {name for name in functional.__all__ if inspect.isfunction(getattr(functional, name))}
METRICS = {name.lower(): getattr(tsl.metrics, name) for name in tsl.metrics.__all__}

OF_CORRELATION = {"competition", "match_count", "one_to_one_mean", "recovered", "redundancy", "rho_mean"}
"""Functions that `records.alignments` takes as they are."""

OF_ACTIVATIONS = {
    *{"cca", "dead_node_fraction", "debiased_linear_cka", "linear_cka", "linear_regression_r2"},
    *{"procrustes_distance", "procrustes_similarity", "pwcca", "rbf_cka", "rv_coefficient", "svcca"},
}
"""Functions whose Metrics `records.alignments` takes: one number for each replicate."""

OF_PAIRS = {"boundary_observation", "node_correlation"}
"""Functions whose Metrics give a number for each pair of nodes, and are part of every record."""

ON_WHOLE_TENSORS = {"cosine_correlation", "null_level", "rank_correlation"}
"""For those who compare measures on activations: no table holds these correlations of each pair of nodes, and records
take null levels batch by batch, with the `shuffled_samples` that `null_level` calls."""


def callers(name: str) -> list[Path]:
    """The files of the package that import a function, but its Metric's; its own if another function there calls it."""
    own = Path(inspect.getfile(getattr(functional, name)))
    found = []
    for path in (ROOT / "tsl").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        if path == own:
            calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
            found += [path] if name in calls else []
        elif path.name not in ("__init__.py", own.name):
            imports = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
            from_here = [node for node in imports if str(node.module).startswith("tsl.metrics.functional")]
            found += [path] if any(alias.name == name for node in from_here for alias in node.names) else []
    return found


@pytest.mark.parametrize("name", sorted(FUNCTIONS - OF_CORRELATION - OF_ACTIVATIONS - OF_PAIRS - ON_WHOLE_TENSORS))
def test_what_cannot_be_recorded_by_name_is_called(name: str) -> None:
    assert callers(name)


@pytest.mark.parametrize("name", sorted(OF_CORRELATION))
def test_a_function_of_the_correlation_is_recorded_by_its_name(name: str) -> None:
    layers = layer_frames(values(), THRESHOLDS, {"measure": getattr(functional, name)}, {})["layers"]
    assert {"measure", "measure_null"} <= set(layers)


@pytest.mark.parametrize("name", sorted(OF_ACTIVATIONS))
def test_a_metric_of_activations_gives_what_is_recorded(name: str) -> None:
    metric: Any = METRICS[name.replace("_", "")](4, 5, 3)
    teacher, student = torch.randn(3, 60, 9, generator=torch.Generator().manual_seed(0)).relu().split([4, 5], dim=-1)
    metric.update(teacher, student)
    assert metric.compute().reshape(3).isfinite().all()


@pytest.mark.parametrize("name", sorted(OF_PAIRS))
def test_a_metric_of_pairs_is_part_of_every_record(name: str) -> None:
    metric = METRICS[name.replace("_", "")].__name__
    assert f"{metric}(" in (ROOT / "tsl/callbacks/layer_measures.py").read_text()
