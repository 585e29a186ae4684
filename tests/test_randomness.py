import itertools

import torch

from tsl.randomness import generator, replicate_generators


def draw(*arguments: object) -> tuple[float, ...]:
    return tuple(torch.randn(3, generator=generator(*arguments)).tolist())  # type: ignore[arg-type]


def test_streams_are_repeatable_and_differ_in_every_argument() -> None:
    arguments = list(itertools.product(("teacher", "student"), (0, 1, 2), (0, 1)))
    assert [draw(*a) for a in arguments] == [draw(*a) for a in arguments]
    assert len({draw(*a) for a in arguments}) == len(arguments)


def test_replicate_r_has_the_seed_plus_r() -> None:
    among_many = [torch.randn(3, generator=g) for g in replicate_generators("val_inputs", 5, 3, epoch=2)]
    alone = [torch.randn(3, generator=generator("val_inputs", 5 + r, 2)) for r in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(among_many, alone, strict=True))
