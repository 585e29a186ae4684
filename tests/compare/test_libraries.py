"""The same activations through other people's code. Where it differs, the test says by how much and why."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cross_decomposition import CCA
from torch.utils.data import DataLoader, TensorDataset

from tests.compare.networks import INPUTS, activations, dense, value
from tsl.compare import compare

BATCHES = INPUTS[:200].split(20)
PAIR = ("1", "3")


def ours(measure: str) -> float:
    return value(compare(dense(0), dense(1, 9), list(BATCHES)), measure, *PAIR)


def layers() -> list[np.ndarray]:
    return [activations(net, INPUTS[:200])[layer] for net, layer in zip((dense(0), dense(1, 9)), PAIR, strict=True)]


@pytest.mark.filterwarnings("ignore")
def test_torch_cka_gives_the_same_minibatch_cka() -> None:
    library = pytest.importorskip("torch_cka")
    loader = DataLoader(TensorDataset(INPUTS[:200], INPUTS[:200]), batch_size=20)
    with torch.no_grad():
        cka = library.CKA(dense(0), dense(1, 9), "a", "b", model1_layers=["1"], model2_layers=["3"])
        cka.compare(loader)
    assert ours("minibatch_cka") == pytest.approx(float(cka.export()["CKA"]), abs=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_cka_pytorch_gives_the_same_but_for_its_epsilon() -> None:
    """It adds 1e-4 under the root of the denominator."""
    library = pytest.importorskip("cka_pytorch")
    loader = DataLoader(TensorDataset(INPUTS[:200], INPUTS[:200]), batch_size=20)
    calculator = library.CKACalculator(dense(0), dense(1, 9), ["1"], ["3"], verbose=False, hook_recursive=False)
    table = calculator.calculate_cka_matrix(loader, num_epochs=1, epsilon=0)
    assert ours("minibatch_cka") == pytest.approx(float(table), abs=1e-4)


def test_procrustes_by_netreps_definition() -> None:
    """netrep (not installable here) gives the angle arccos of the similarity, with α = 1: centred, of unit norm."""
    t, s = (layer - layer.mean(axis=0) for layer in layers())
    t, s = t / np.linalg.norm(t), np.pad(s, ((0, 0), (0, 1))) / np.linalg.norm(s)
    rotation, _ = scipy.linalg.orthogonal_procrustes(s, t)
    assert np.arccos(ours("procrustes_similarity")) == pytest.approx(np.arccos(np.sum(t * (s @ rotation))), abs=1e-6)


def test_cca_is_the_mean_of_scikit_learns_correlations() -> None:
    t, s = layers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = CCA(n_components=6, max_iter=20000, tol=1e-12).fit_transform(t, s)
    rho = [np.corrcoef(scores[0][:, i], scores[1][:, i])[0, 1] for i in range(6)]
    assert ours("cca") == pytest.approx(np.mean(rho), abs=1e-4)
