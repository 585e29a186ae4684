import pytest
import torch

from tsl.data import ChunkLoader, EvaluationLoader, MinibatchSampler
from tsl.data.loaders import gather
from tsl.errors import InputError

INPUTS = torch.arange(3 * 20 * 2).reshape(3, 20, 2).float()  # every number tells its replicate and row


def sampler(**settings: object) -> MinibatchSampler:
    return MinibatchSampler(20, 4, **({"replicates": 3, "chunk_size": 2} | settings))  # type: ignore[arg-type]


def test_gather_equals_a_loop() -> None:
    index = torch.randint(20, (3, 4, 5))
    gathered = gather(INPUTS, index)
    assert gathered.shape == (3, 4, 5, 2)
    for r in range(3):
        for k in range(4):
            for b in range(5):
                assert torch.equal(gathered[r, k, b], INPUTS[r, index[r, k, b]])


def test_without_replacement_every_input_comes_once_in_an_epoch_in_another_order_each() -> None:
    loader = ChunkLoader(lambda epoch: INPUTS, sampler())
    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        chunks = list(loader)
        assert [chunk.shape for chunk in chunks] == [(2, 3, 4, 2), (2, 3, 4, 2), (1, 3, 4, 2)]
        assert len(loader) == 3
        seen = torch.cat(chunks).transpose(0, 1).flatten(1, 2)  # (R, N, d) in the order of the epoch
        for r in range(3):
            assert sorted(seen[r].tolist()) == INPUTS[r].tolist()
        orders.append((seen - INPUTS[:, :1]).tolist())
    assert orders[0] != orders[1]
    assert orders[0][0] != orders[0][1]


def test_with_replacement_draws_uniformly() -> None:
    index = torch.cat(list(sampler(replacement=True, steps_per_epoch=5000)), dim=1)
    counts = torch.stack([row.flatten().bincount(minlength=20) for row in index]).double()
    assert index.shape == (3, 5000, 4)
    chi_squared = ((counts - 1000) ** 2 / 1000).sum(dim=1)
    assert (chi_squared < 50).all()  # 19 degrees of freedom: p < 2e-4 each


def test_replicate_r_among_many_has_the_minibatches_of_the_replicate_alone() -> None:
    many = torch.cat(list(sampler(seed=5)), dim=1)
    for r in range(3):
        alone = torch.cat(list(sampler(seed=5 + r, replicates=1)), dim=1)
        assert torch.equal(many[r], alone[0])


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_chunk_size_does_not_change_the_minibatches(chunk_size: int) -> None:
    assert torch.equal(torch.cat(list(sampler(chunk_size=chunk_size)), dim=1), torch.cat(list(sampler()), dim=1))


def test_processes_share_each_minibatch() -> None:
    whole = torch.cat(list(ChunkLoader(lambda epoch: INPUTS, sampler())))
    parts = [torch.cat(list(ChunkLoader(lambda epoch: INPUTS, sampler(), rank, 2))) for rank in range(2)]
    assert torch.equal(torch.stack(parts, dim=3).flatten(2, 3), whole)


def test_resumes_within_an_epoch_and_only_in_that_epoch() -> None:
    loader = ChunkLoader(lambda epoch: INPUTS, sampler())
    loader.sampler.set_epoch(3)
    whole = list(loader)
    iterator = iter(loader)
    next(iterator)
    resumed = ChunkLoader(lambda epoch: INPUTS, sampler())
    resumed.load_state_dict(loader.state_dict())
    resumed.sampler.set_epoch(3)
    assert torch.equal(torch.cat(list(resumed)), torch.cat(whole[1:]))
    resumed.sampler.set_epoch(4)
    assert len(list(resumed)) == 3


def test_evaluation_goes_once_through_the_inputs_in_order_shared_by_processes() -> None:
    loader = EvaluationLoader("val", lambda: INPUTS, batch_size=6)
    assert [batch.shape[1] for batch in loader] == [6, 6, 6, 2]
    assert len(loader) == 4
    assert torch.equal(torch.cat(list(loader), dim=1), INPUTS)
    parts = [torch.cat(list(EvaluationLoader("val", lambda: INPUTS, 6, rank, 3)), dim=1) for rank in range(3)]
    assert torch.equal(torch.cat(parts, dim=1).sort(dim=1).values, INPUTS)


@pytest.mark.parametrize("settings", [{"steps_per_epoch": 6}, {"size": 3}])
def test_more_inputs_than_there_are(settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"data.init_args.batch_size = 4 .* set data.init_args.replacement to true"):
        MinibatchSampler(settings.get("size", 20), 4, steps_per_epoch=settings.get("steps_per_epoch"))


def test_minibatch_that_processes_cannot_share() -> None:
    with pytest.raises(InputError, match="batch_size = 4 cannot be shared evenly by 3 processes"):
        ChunkLoader(lambda epoch: INPUTS, sampler(), rank=0, world_size=3)
