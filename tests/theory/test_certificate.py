import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tsl.theory.bounds import gradient_factor
from tsl.theory.certificate import Certificate, TwoLayerWeights, certificate, node_coupling

R, M_NODES, N_NODES, DIM, OUTPUTS = 2, 3, 5, 4, 6


def weights(nodes: int, seed: int) -> TwoLayerWeights:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(R, *shape, generator=generator, dtype=torch.float64)

    return TwoLayerWeights(draw(nodes, DIM), draw(nodes), draw(OUTPUTS, nodes))


def unit(of: TwoLayerWeights) -> TwoLayerWeights:
    norm = of.weight.norm(dim=-1)
    return TwoLayerWeights(of.weight / norm[..., None], of.bias / norm, of.fan_out * norm[:, None])


TEACHER, STUDENT = unit(weights(M_NODES, 0)), weights(N_NODES, 1)
OBSERVATION = torch.tensor([[[0, 2, 0, 7, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], [[3, 3, 3, 3, 3]] * 3])
SUP_NORM = torch.tensor([1e-3, 2.0], dtype=torch.float64)


def alignment(r: int, j: int, k: int, bias_scale: float) -> float:
    """The smallest ε at which student node k is aligned with teacher node j, by the cosine."""
    w_j, w_k = TEACHER.weight[r, j].numpy(), STUDENT.weight[r, k].numpy()
    cosine = w_j @ w_k / np.linalg.norm(w_j) / np.linalg.norm(w_k)
    sine = math.sqrt(1 - cosine**2) if cosine > 0 else 1.0
    gap = abs(TEACHER.bias[r, j] / np.linalg.norm(w_j) - STUDENT.bias[r, k] / np.linalg.norm(w_k))
    return max(sine, float(gap) / bias_scale)


@pytest.mark.parametrize(("c", "bias_scale"), [(5.0, 1.0), (0.01, 3.0)])
def test_every_number_is_that_of_the_definitions(c: float, bias_scale: float) -> None:
    result = certificate(TEACHER, STUDENT, OBSERVATION, SUP_NORM, c=c, bias_scale=bias_scale)
    for r in range(R):
        for j in range(M_NODES):
            granted, observer, alpha = math.inf, -1, math.nan
            for k in range(N_NODES):
                if OBSERVATION[r, j, k] > 0:
                    a = abs(float(STUDENT.fan_out[r, :, k] @ TEACHER.fan_out[r, :, j]))
                    of_pair = c * (M_NODES + N_NODES) ** 1.5 * math.sqrt(DIM) * float(SUP_NORM[r]) / a
                    if of_pair < granted:
                        granted, observer, alpha = of_pair, k, a
            epsilons = [alignment(r, j, k, bias_scale) for k in range(N_NODES)]
            expected = Certificate(
                observed=observer >= 0,
                observer=observer,
                alpha=alpha,
                gradient_sup_norm=float(SUP_NORM[r]),
                granted_epsilon=granted,
                reached_epsilon=min(epsilons),
                best_aligned_student=int(np.argmin(epsilons)),
                observer_epsilon=epsilons[observer] if observer >= 0 else math.nan,
                condition=granted < 1,
                vacuous=observer >= 0 and granted >= 1,
                conclusion=min(epsilons) <= granted,
            )
            for name, value in expected._asdict().items():
                assert getattr(result, name)[r, j].item() == pytest.approx(value, rel=1e-9, nan_ok=True), name


def test_the_factor_at_the_sizes_of_the_papers_experiments_and_of_ours() -> None:
    assert gradient_factor(20, 100, 40, c=5) == pytest.approx(23237.9, rel=1e-5)
    assert gradient_factor(2, 5, 4, c=5) == pytest.approx(164.317, rel=1e-5)


def test_the_parametrization_of_the_same_teacher_does_not_matter() -> None:
    scale = torch.tensor([[0.1, 1.0, 20.0], [3.0, 0.5, 1.0]], dtype=torch.float64)
    rescaled = TwoLayerWeights(
        TEACHER.weight * scale[..., None], TEACHER.bias * scale, TEACHER.fan_out / scale[:, None]
    )
    torch.testing.assert_close(node_coupling(rescaled, STUDENT), node_coupling(TEACHER, STUDENT))
    expected = certificate(TEACHER, STUDENT, OBSERVATION, SUP_NORM)
    result = certificate(rescaled, STUDENT, OBSERVATION, SUP_NORM)
    torch.testing.assert_close(result, expected, equal_nan=True)


def test_a_student_without_coupling_grants_nothing_even_without_a_gradient() -> None:
    student = STUDENT._replace(fan_out=torch.zeros_like(STUDENT.fan_out))
    result = certificate(TEACHER, student, OBSERVATION, torch.zeros(R))
    assert result.granted_epsilon.isinf().all()
    assert not result.condition.any()
    assert torch.equal(result.vacuous, result.observed)


def test_a_gradient_of_zero_certifies_what_is_aligned_up_to_rounding_and_nothing_else() -> None:
    student = STUDENT._replace(weight=STUDENT.weight.clone(), bias=STUDENT.bias.clone())
    student.weight[:, :M_NODES] = 0.3 * TEACHER.weight
    student.bias[:, :M_NODES] = 0.3 * TEACHER.bias
    everything = torch.ones_like(OBSERVATION)
    result = certificate(TEACHER, student, everything, torch.zeros(R))
    assert (result.condition & result.conclusion).all()
    assert torch.equal(result.best_aligned_student, torch.arange(M_NODES).expand(R, -1))
    student.bias[:, 1] += 1e-12
    assert (certificate(TEACHER, student, everything, torch.zeros(R)).conclusion == torch.tensor([1, 0, 1])).all()
