from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tsl.errors import InputError
from tsl.networks import MLP, DefaultInitialization, PerturbedTeacher
from tsl.randomness import replicate_generators

Make = Callable[..., MLP]


def student_of(teacher: MLP, initialization: PerturbedTeacher, widths: list[int], **changes: Any) -> MLP:
    student = teacher.with_widths(widths, **changes).double()
    initialization(student, replicate_generators("student", 3, teacher.replicates), teacher)
    return student


def rows(network: MLP, layer: int) -> np.ndarray:
    chosen = network.layers[layer]
    return torch.cat([chosen.weight, chosen.bias.unsqueeze(-1)], dim=-1).detach().numpy()


@pytest.mark.parametrize("widths", [[4, 7], [8, 14], [9, 10]])
@pytest.mark.parametrize("kind", [{}, {"bias": False}, {"batch_norm": "before"}, {"batch_norm": "after"}])
def test_without_noise_the_student_computes_the_teachers_function(
    make_network: Make, widths: list[int], kind: dict[str, Any]
) -> None:
    teacher = make_network(negative_slope=0.1, **kind).eval()
    student = student_of(teacher, PerturbedTeacher(0.0), widths).eval()
    inputs = torch.randn(2, 50, 5, dtype=torch.float64)
    torch.testing.assert_close(student(inputs), teacher(inputs), rtol=1e-12, atol=1e-12)
    for s, t in zip(student.activations(inputs).post, teacher.activations(inputs).post, strict=True):
        for k in range(s.shape[-1]):
            torch.testing.assert_close(s[..., k], t[..., k % t.shape[-1]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("keep", ["all", "directions", "signs"])
def test_noise_is_added_to_every_weight_and_bias(make_network: Make, keep: Any) -> None:
    teacher = make_network(widths=[40, 50])
    plain, noisy = (student_of(teacher, PerturbedTeacher(noise, keep), [40, 50]) for noise in (0.0, 0.3))
    # keep="all" draws nothing else, so that the noise alone moves the generators
    for layer in range(3) if keep == "all" else [0]:
        noise = rows(noisy, layer) - rows(plain, layer)
        count = noise.size
        assert abs(noise.mean()) < 5 * 0.3 / np.sqrt(count)
        assert noise.std() == pytest.approx(0.3, rel=5 / np.sqrt(2 * count))
        assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 5 / np.sqrt(noise[0].size)


def test_directions_are_the_teachers_and_norms_those_of_a_default_start(make_network: Make) -> None:
    teacher = make_network()
    copied = student_of(teacher, PerturbedTeacher(0.0), [8, 14])
    student = student_of(teacher, PerturbedTeacher(0.0, "directions"), [8, 14])
    norms = []
    for layer in range(3):
        expected, got = rows(copied, layer), rows(student, layer)
        length = np.linalg.norm(got, axis=-1)
        np.testing.assert_allclose(
            got / length[..., None], expected / np.linalg.norm(expected, axis=-1)[..., None], atol=1e-12
        )
        norms.append(length)
    default = student_of(teacher, PerturbedTeacher(0.0), [8, 14])
    DefaultInitialization()(default, replicate_generators("student", 3, 2))
    np.testing.assert_allclose(norms[0], np.linalg.norm(rows(default, 0), axis=-1))


def test_signs_are_the_teachers_and_magnitudes_those_of_a_default_start(make_network: Make) -> None:
    teacher = make_network()
    with torch.no_grad():
        teacher.layers[0].weight[:, 1, 2] = 0
    student = student_of(teacher, PerturbedTeacher(0.0, "signs"), [8, 14])
    default = student_of(teacher, PerturbedTeacher(0.0), [8, 14])
    DefaultInitialization()(default, replicate_generators("student", 3, 2))
    for layer, (nodes, below) in enumerate(zip((8, 14, 3), (5, 8, 14), strict=True)):
        weight, source = student.layers[layer].weight.detach(), teacher.layers[layer].weight
        for r in range(2):
            for k in range(nodes):
                for i in range(below):
                    copied = source[r, k % source.shape[1], i % source.shape[2]]
                    assert weight[r, k, i].sign() == copied.sign()
    zero = rows(student, 0) == 0
    assert zero.sum() == 2 * 2
    np.testing.assert_allclose(np.abs(rows(student, 0))[~zero], np.abs(rows(default, 0))[~zero])


@pytest.mark.parametrize("keep", ["all", "directions", "signs"])
def test_replicate_r_among_many_is_the_replicate_alone(make_network: Make, keep: Any) -> None:
    teacher = make_network(replicates=3, batch_norm="after")
    many = student_of(teacher, PerturbedTeacher(0.1, keep), [8, 14])
    for r in range(3):
        own = make_network(replicates=1, batch_norm="after")
        own.load_state_dict({name: values[r : r + 1] for name, values in teacher.state_dict().items()})
        alone = own.with_widths([8, 14]).double()
        PerturbedTeacher(0.1, keep)(alone, replicate_generators("student", 3 + r, 1), own)
        for a, b in zip(many.state_dict().values(), alone.state_dict().values(), strict=True):
            assert torch.equal(a[r], b[0])


def test_batch_norm_in_another_place_starts_anew(make_network: Make) -> None:
    teacher = make_network(batch_norm="after")
    student = student_of(teacher, PerturbedTeacher(0.0), [8, 14], batch_norm="before")
    for norm in student.norms:
        assert (norm.weight == 1).all()
        assert (norm.running_var == 1).all()


def test_biases_of_a_student_whose_teacher_has_none(make_network: Make) -> None:
    teacher = make_network(bias=False)
    student = student_of(teacher, PerturbedTeacher(0.0), [4, 7], bias=True)
    assert all((layer.bias == 0).all() for layer in student.layers)


def test_what_cannot_start_from_its_teacher(make_network: Make) -> None:
    teacher = make_network()
    with pytest.raises(InputError, match="needs its teacher"):
        PerturbedTeacher(0.0)(teacher, replicate_generators("student", 0, 2))
    with pytest.raises(InputError, match=r"hidden layers of \[4, 6\] nodes cannot hold the teacher's \[4, 7\]"):
        student_of(teacher, PerturbedTeacher(0.0), [4, 6])
    with pytest.raises(InputError, match="give the student bias: true"):
        student_of(teacher, PerturbedTeacher(0.0), [4, 7], bias=False)
