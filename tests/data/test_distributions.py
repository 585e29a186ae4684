"""Each distribution against scipy's, at a fixed seed; a moment's tolerance is five of its standard errors."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from tests.fitting import TINY
from tsl.data import (
    CorrelatedGaussian,
    Gaussian,
    GaussianMixture,
    InputDistribution,
    Laplace,
    LogNormal,
    LowDimensionalGaussian,
    Rademacher,
    Sphere,
    StudentT,
    TensorFile,
    Uniform,
)
from tsl.errors import InputError
from tsl.fit import main
from tsl.randomness import generator
from tsl.runs.records import read_table

STD = 1.5
COUNT, DIM = 40_000, 5

MARGINALS: dict[str, tuple[InputDistribution, Any]] = {
    "gaussian": (Gaussian(STD), scipy.stats.norm(scale=STD)),
    "uniform": (Uniform(STD), scipy.stats.uniform(-STD * math.sqrt(3), 2 * STD * math.sqrt(3))),
    "laplace": (Laplace(STD), scipy.stats.laplace(scale=STD / math.sqrt(2))),
    "student_t": (StudentT(5, std=STD), scipy.stats.t(5, scale=STD * math.sqrt(3 / 5))),
    "cauchy": (StudentT(1, scale=STD), scipy.stats.cauchy(scale=STD)),
    "heavier_than_cauchy": (StudentT(0.5, scale=STD), scipy.stats.t(0.5, scale=STD)),
    "log_normal": (LogNormal(0.5, STD), scipy.stats.lognorm(0.5, scale=STD / scipy.stats.lognorm(0.5).std())),
    "wide_log_normal": (LogNormal(2, STD), scipy.stats.lognorm(2, scale=STD / scipy.stats.lognorm(2).std())),
    # A coordinate of a point on the sphere: (x / radius + 1) / 2 is Beta((d − 1)/2, (d − 1)/2).
    "sphere": (
        Sphere(STD),
        scipy.stats.beta(2, 2, loc=-STD * math.sqrt(DIM), scale=2 * STD * math.sqrt(DIM)),
    ),
}

OF_STD: dict[str, InputDistribution] = {
    **{name: MARGINALS[name][0] for name in ("gaussian", "uniform", "laplace", "student_t", "log_normal", "sphere")},
    "rademacher": Rademacher(STD),
    "mixture": GaussianMixture(3, STD, separation=2),
    "correlated": CorrelatedGaussian(1.0, STD),
    "low_dimensional": LowDimensionalGaussian(2, STD, noise_ratio=0.5),
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file of 200 inputs of 6 dimensions."""
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32))
    return tmp_path / "table.npy"


def draw(distribution: InputDistribution, count: int = COUNT, dim: int = DIM, seed: int = 0) -> torch.Tensor:
    return distribution.sample(count, dim, generator("val_inputs", seed))


@pytest.mark.parametrize("name", MARGINALS)
def test_every_coordinate_has_the_distribution_of_scipy(name: str) -> None:
    distribution, expected = MARGINALS[name]
    for coordinate in draw(distribution).T:
        assert scipy.stats.kstest(coordinate.numpy(), expected.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", OF_STD)
def test_std_is_the_standard_deviation_of_a_coordinate(name: str) -> None:
    sample = draw(OF_STD[name])
    deviation = (sample - sample.mean(dim=0)).square()
    per_input = deviation.mean(dim=1)  # over coordinates, which the tails and the correlations may make differ
    assert per_input.mean() == pytest.approx(STD**2, abs=float(5 * per_input.std() / math.sqrt(COUNT)))
    if name not in ("correlated", "low_dimensional"):
        error = 5 * deviation.std(dim=0) / math.sqrt(COUNT) + 1e-12  # a Rademacher's deviation has no spread
        assert ((deviation.mean(dim=0) - STD**2).abs() < error).all()


@pytest.mark.parametrize("name", OF_STD)
def test_the_mean_is_0_except_of_the_log_normal(name: str) -> None:
    expected = MARGINALS[name][1].mean() if name == "log_normal" else 0.0
    sample = draw(OF_STD[name])
    assert ((sample.mean(dim=0) - expected).abs() < 5 * sample.std(dim=0) / math.sqrt(COUNT)).all()
    if name == "log_normal":
        assert expected == pytest.approx(STD / math.sqrt(math.exp(0.25) - 1))  # as its docstring has it


@pytest.mark.parametrize("name", ["gaussian", "uniform", "laplace", "student_t", "rademacher", "log_normal", "sphere"])
def test_coordinates_are_uncorrelated_and_inputs_independent(name: str) -> None:
    sample = draw(OF_STD[name])
    neighbours = torch.cat([sample[:-1], sample[1:]], dim=1)
    correlation = torch.corrcoef(neighbours.T) - torch.eye(2 * DIM)
    assert correlation.abs().max() < 5 / math.sqrt(COUNT)
    magnitudes = torch.corrcoef(neighbours.abs().log().T) - torch.eye(2 * DIM)
    if name not in (
        "sphere",
        "rademacher",
    ):  # on a sphere they depend on each other, and a Rademacher's are all the same
        assert magnitudes.abs().max() < 5 / math.sqrt(COUNT)


def test_support() -> None:
    edge = STD * math.sqrt(3)
    assert draw(Uniform(STD)).abs().max() <= edge
    assert draw(LogNormal(2, STD)).min() > 0
    torch.testing.assert_close(draw(Sphere(STD)).norm(dim=1), torch.full((COUNT,), STD * math.sqrt(DIM)).double())
    assert draw(StudentT(0.5, scale=1)).isfinite().all()


def test_rademacher_is_a_fair_coin_in_every_place_of_a_word() -> None:
    sample = draw(Rademacher(STD), 3001, 7)  # neither a whole number of words nor of bytes
    assert sample.unique().tolist() == [-STD, STD]
    places = draw(Rademacher(STD), COUNT, 64) / STD
    assert (places.mean(dim=0).abs() < 5 / math.sqrt(COUNT)).all()
    off_diagonal = places.T @ places / COUNT - torch.eye(64)
    assert off_diagonal.abs().max() < 5.5 / math.sqrt(COUNT)


def test_the_mixture_has_its_components_around_its_centres() -> None:
    mixture = GaussianMixture(4, STD, separation=10, structure_seed=3)
    centres, sample = mixture.centres(DIM), draw(mixture)
    torch.testing.assert_close(centres.mean(dim=0), torch.zeros(DIM).double())
    component = torch.cdist(sample, centres).argmin(dim=1)  # far apart: the nearest centre is the right one
    assert scipy.stats.chisquare(component.bincount().numpy()).pvalue > 1e-3
    residual = (sample - centres[component]).flatten().numpy()
    within = STD / math.sqrt(1 + 10**2)
    assert scipy.stats.kstest(residual / within, "norm").pvalue > 1e-3


def test_the_mixture_without_separation_is_gaussian() -> None:
    sample = draw(GaussianMixture(3, STD, separation=0)).flatten().numpy()
    assert scipy.stats.kstest(sample / STD, "norm").pvalue > 1e-3


@pytest.mark.parametrize("spectrum", [1.5, 0.0, [4.0, 1.0, 1.0, 0.0, 2.0]])
def test_the_correlated_gaussian_has_its_spectrum_and_is_rotated(spectrum: float | list[float]) -> None:
    distribution = CorrelatedGaussian(spectrum, STD, structure_seed=1)
    sample = draw(distribution)
    shape = np.array(spectrum if isinstance(spectrum, list) else [(i + 1) ** -spectrum for i in range(DIM)])
    expected = np.sort(shape / shape.mean()) * STD**2
    covariance = np.cov(sample.numpy().T)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), expected, atol=0.03 * expected.max())
    root = distribution.covariance_root(DIM)
    np.testing.assert_allclose(np.linalg.eigvalsh(root.T @ root), expected, atol=1e-12)
    np.testing.assert_allclose(covariance, root.T @ root, atol=5 * math.sqrt(2 / COUNT) * expected.max())
    if spectrum != 0:
        assert np.abs(covariance - np.diag(np.diag(covariance))).max() > 0.1  # the axes are not the eigenvectors
    radius = (sample @ torch.linalg.pinv(root)).flatten()  # whitened, up to the directions without variance
    kept = radius if spectrum != [4.0, 1.0, 1.0, 0.0, 2.0] else radius.view(-1, DIM)[:, [0, 1, 2, 4]].flatten()
    assert scipy.stats.kstest(kept.numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("noise_ratio", [0.0, 0.5])
def test_the_low_dimensional_gaussian_lies_about_its_subspace(noise_ratio: float) -> None:
    distribution = LowDimensionalGaussian(2, STD, noise_ratio, structure_seed=2)
    sample, basis = draw(distribution), distribution.basis(DIM)
    torch.testing.assert_close(basis @ basis.T, torch.eye(2).double())
    noise = STD**2 / (1 + noise_ratio**-2) if noise_ratio else 0.0
    signal = (STD**2 - noise) * DIM / 2
    eigenvalues = np.linalg.eigvalsh(np.cov(sample.numpy().T))
    np.testing.assert_allclose(eigenvalues, [noise] * 3 + [signal + noise] * 2, atol=0.03 * signal)
    outside = sample - sample @ basis.T @ basis
    assert outside.square().sum(dim=1).mean() == pytest.approx(3 * noise, rel=0.03, abs=1e-20)


def test_the_rotation_is_uniformly_distributed() -> None:
    """An entry of a uniform rotation of 5 dimensions is a coordinate of a point on the sphere in 5 dimensions."""
    entries = [CorrelatedGaussian(0.0, 1.0, seed).covariance_root(DIM)[0, 0].item() for seed in range(400)]
    assert scipy.stats.kstest(entries, scipy.stats.beta(2, 2, loc=-1, scale=2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["mixture", "correlated", "low_dimensional"])
def test_the_structure_is_the_seeds_and_not_the_generators(name: str) -> None:
    def structure(structure_seed: int) -> torch.Tensor:
        makers: dict[str, Callable[[], torch.Tensor]] = {
            "mixture": GaussianMixture(3, structure_seed=structure_seed).centres,
            "correlated": CorrelatedGaussian(structure_seed=structure_seed).covariance_root,
            "low_dimensional": LowDimensionalGaussian(2, structure_seed=structure_seed).basis,
        }  # type: ignore[dict-item]
        return makers[name](DIM)  # type: ignore[call-arg]

    assert torch.equal(structure(0), structure(0))
    assert not torch.allclose(structure(0), structure(1))
    halves = [draw(OF_STD[name], seed=seed) for seed in range(2)]  # as training and evaluation inputs are drawn
    first, second = (np.cov(half.numpy().T) for half in halves)
    np.testing.assert_allclose(first, second, atol=5 * math.sqrt(4 / COUNT) * np.linalg.norm(first, 2))


ALL = [*MARGINALS, *(set(OF_STD) - set(MARGINALS)), "file"]


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(("count", "dim"), [(1, 6), (200, 6), (7, 6)])
def test_samples_are_a_pure_function_of_the_generator(name: str, count: int, dim: int, table: Path) -> None:
    distribution = {name: of for name, (of, _) in MARGINALS.items()} | OF_STD | {"file": TensorFile(str(table))}
    torch.manual_seed(1)
    first = draw(distribution[name], count, dim)
    torch.manual_seed(2)  # the global generator is none of theirs
    draw(distribution[name], 3, dim)
    again, other = draw(distribution[name], count, dim), draw(distribution[name], count, dim, seed=1)
    assert (first.shape, first.dtype) == ((count, dim), torch.float64)
    assert first.isfinite().all()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_more_inputs_than_a_block_are_all_different() -> None:
    for name, distribution in OF_STD.items():
        if name != "rademacher":
            assert len(draw(distribution, 160_000, 7)[:, 0].unique()) == 160_000, name


ARGUMENTS: dict[str, dict[str, Any]] = {
    "Gaussian": {"std": 1.5},
    "Uniform": {"std": 1.5},
    "Laplace": {"std": 1.5},
    "StudentT": {"degrees_of_freedom": 3, "std": 1.5},
    "Rademacher": {"std": 1.5},
    "LogNormal": {"sigma": 0.5, "std": 1.5},
    "Sphere": {"std": 1.5},
    "GaussianMixture": {"components": 3, "separation": 2.0},
    "CorrelatedGaussian": {"spectrum": [1.0, 2, 3, 4, 5, 6]},
    "LowDimensionalGaussian": {"subspace_dim": 2, "noise_ratio": 0.1},
    "TensorFile": {"stop": 100},
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_each_is_chosen_by_a_config_and_its_run_can_be_repeated(name: str, tmp_path: Path, table: Path) -> None:
    arguments = ARGUMENTS[name] | ({"path": str(table)} if name == "TensorFile" else {})
    config = tmp_path / "distribution.yaml"
    settings = {"class_path": f"tsl.data.{name}", "init_args": arguments}
    config.write_text(f"data: {{init_args: {{distribution: {settings}, val_distribution: {settings}}}}}")
    root = ["--trainer.default_root_dir", str(tmp_path / "runs"), "--trainer.max_epochs", "1"]
    main([*TINY, "--config", str(config), *root, "--version", "first"])
    first = tmp_path / "runs/tiny/first"
    assert f"class_path: tsl.data.{name}" in (first / "config.yaml").read_text()
    main(["--config", str(first / "config.yaml"), "--version", "again"])
    losses = [read_table(tmp_path / "runs/tiny" / version, "losses") for version in ("first", "again")]
    assert losses[0].equals(losses[1])
    assert losses[0]["val_loss"].notna().all()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            lambda: StudentT(2, std=1.0),
            "init_args.std = 1: with degrees_of_freedom = 2 ≤ 2 there is no standard .*scale",
        ),
        (lambda: StudentT(3), "init_args.std and .*init_args.scale: expected exactly one"),
        (lambda: StudentT(3, std=1.0, scale=1.0), "init_args.std and .*init_args.scale: expected exactly one"),
        (lambda: StudentT(0.4, scale=1.0), "init_args.degrees_of_freedom = 0.4: expected at least 0.5"),
        (lambda: LogNormal(5.1), "init_args.sigma = 5.1: expected at most 5"),
        (lambda: GaussianMixture(1), "init_args.components = 1: expected 2 or more"),
        (lambda: CorrelatedGaussian([0.0, 0.0]), r"init_args.spectrum = \[0.0, 0.0\]: expected at least one"),
        (lambda: draw(CorrelatedGaussian([1.0, 2.0])), "init_args.spectrum lists 2 eigenvalues for .*dim = 5"),
        (lambda: draw(LowDimensionalGaussian(6)), "init_args.subspace_dim = 6 is more than data.init_args.dim = 5"),
    ],
)
def test_mistakes_name_the_key(make: Callable[[], Any], expected: str) -> None:
    with pytest.raises(InputError, match=f"data.init_args.distribution.{expected}"):
        make()


def test_only_a_file_is_finite(table: Path) -> None:
    assert TensorFile(str(table)).finite
    assert not any(distribution.finite for distribution in OF_STD.values())
