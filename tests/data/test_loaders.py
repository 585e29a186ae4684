import pytest
import torch

from tsl.data import ChunkLoader, EvaluationLoader, MinibatchSampler, Samples
from tsl.data.samples import gather
from tsl.errors import InputError

INPUTS = torch.arange(3 * 20 * 2).reshape(3, 20, 2).float()  # every number tells its replicate and row


def sampler(**settings: object) -> MinibatchSampler:
    return MinibatchSampler(**({"sizes": [20, 20, 20], "batch_size": 4, "chunk_size": 2} | settings))  # type: ignore[arg-type]


def test_gather_equals_a_loop() -> None:
    index = torch.randint(20, (3, 4, 5))
    gathered = gather(INPUTS, index)
    assert gathered.shape == (3, 4, 5, 2)
    for r in range(3):
        for k in range(4):
            for b in range(5):
                assert torch.equal(gathered[r, k, b], INPUTS[r, index[r, k, b]])


def test_without_replacement_every_input_comes_once_in_an_epoch_in_another_order_each() -> None:
    loader = ChunkLoader(lambda epoch: Samples(INPUTS), sampler())
    orders = []
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        chunks = [chunk.inputs for chunk in loader]
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
        alone = torch.cat(list(sampler(seed=5 + r, sizes=[20])), dim=1)
        assert torch.equal(many[r], alone[0])


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_chunk_size_does_not_change_the_minibatches(chunk_size: int) -> None:
    assert torch.equal(torch.cat(list(sampler(chunk_size=chunk_size)), dim=1), torch.cat(list(sampler()), dim=1))


def test_processes_share_each_minibatch() -> None:
    whole = torch.cat([chunk.inputs for chunk in ChunkLoader(lambda epoch: Samples(INPUTS), sampler())])
    parts = [
        torch.cat([chunk.inputs for chunk in ChunkLoader(lambda epoch: Samples(INPUTS), sampler(), rank, 2)])
        for rank in range(2)
    ]
    assert torch.equal(torch.stack(parts, dim=3).flatten(2, 3), whole)


def test_resumes_within_an_epoch_and_only_in_that_epoch() -> None:
    loader = ChunkLoader(lambda epoch: Samples(INPUTS), sampler())
    loader.sampler.set_epoch(3)
    whole = [chunk.inputs for chunk in loader]
    iterator = iter(loader)
    next(iterator)
    resumed = ChunkLoader(lambda epoch: Samples(INPUTS), sampler())
    resumed.load_state_dict(loader.state_dict())
    resumed.sampler.set_epoch(3)
    assert torch.equal(torch.cat([chunk.inputs for chunk in resumed]), torch.cat(whole[1:]))
    resumed.sampler.set_epoch(4)
    assert len(list(resumed)) == 3


def test_evaluation_goes_once_through_the_inputs_in_order_shared_by_processes() -> None:
    loader = EvaluationLoader("val", lambda: Samples(INPUTS), batch_size=6)
    assert [batch.shape[1] for batch in loader] == [6, 6, 6, 2]
    assert len(loader) == 4
    assert torch.equal(torch.cat(list(loader), dim=1), INPUTS)
    parts = [torch.cat(list(EvaluationLoader("val", lambda: Samples(INPUTS), 6, rank, 3)), dim=1) for rank in range(3)]
    assert torch.equal(torch.cat(parts, dim=1).sort(dim=1).values, INPUTS)


@pytest.mark.parametrize("settings", [{"steps_per_epoch": 6}, {"sizes": [30, 3]}])
def test_more_inputs_than_there_are(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"data.init_args.batch_size = 4 .* set data.init_args.replacement to true"):
        sampler(**settings)


def test_every_variant_comes_once_in_an_epoch_and_every_input_before_any_comes_again() -> None:
    index = torch.cat(list(sampler(variants=5)), dim=1).flatten(1)
    for row in index:
        assert sorted(row.tolist()) == list(range(100))
        passes = (row // 5).unflatten(0, (5, 20))
        assert all(sorted(once.tolist()) == list(range(20)) for once in passes)
        assert len(set((row % 5)[:20].tolist())) > 1


def test_replicates_of_different_sizes_draw_from_their_own_inputs() -> None:
    sizes = [20, 7, 12]
    index = torch.cat(list(sampler(sizes=sizes, replacement=True, steps_per_epoch=200, variants=2)), dim=1)
    for r, size in enumerate(sizes):
        assert sorted(index[r].unique().tolist()) == list(range(2 * size))
        alone = torch.cat(
            list(sampler(sizes=[size], seed=r, replacement=True, steps_per_epoch=200, variants=2, chunk_size=9)), dim=1
        )
        assert torch.equal(index[r], alone[0])


def test_an_epoch_lasts_as_long_as_the_fewest_inputs() -> None:
    index = torch.cat(list(sampler(sizes=[20, 9, 12])), dim=1)
    assert index.shape == (3, 2, 4)
    assert all(len(row.unique()) == 8 for row in index)


def test_minibatch_that_processes_cannot_share() -> None:
    with pytest.raises(InputError, match="batch_size = 4 cannot be divided evenly among 3 processes"):
        ChunkLoader(lambda epoch: Samples(INPUTS), sampler(), rank=0, world_size=3)
