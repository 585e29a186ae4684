import torch
from torch import Tensor

from tsl.metrics.functional import cosine_correlation, node_correlation


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_positive_scale_does_not_matter_a_shift_does() -> None:
    teacher = normal(2, 500, 4).relu()
    assert (cosine_correlation(teacher, 7 * teacher).diagonal(dim1=-2, dim2=-1) == 1).all()
    assert (cosine_correlation(teacher, teacher + 1).diagonal(dim1=-2, dim2=-1) < 0.99).all()


def test_of_centred_nodes_it_is_pearsons() -> None:
    teacher, student = normal(100, 3), normal(100, 5, seed=1)
    centred = cosine_correlation(teacher - teacher.mean(dim=0), student - student.mean(dim=0))
    torch.testing.assert_close(centred, node_correlation(teacher, student))


def test_a_zero_node_is_zero_and_a_constant_one_is_not() -> None:
    teacher = normal(100, 2).abs()
    student = torch.stack([torch.zeros(100), torch.ones(100)], dim=1)
    result = cosine_correlation(teacher, student)
    assert (result[:, 0] == 0).all()
    assert (result[:, 1] > 0.5).all()
