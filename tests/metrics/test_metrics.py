"""Every Metric against its reference, and in every setting that torchmetrics knows; see tester.py."""

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tester import (
    CASES,
    REPLICATES,
    STUDENT_NODES,
    TEACHER_NODES,
    Case,
    in_one_process,
    make_batches,
    update_all,
)
from torch import Tensor
from torchmetrics import MetricCollection

from tsl.metrics import (
    RBFCKA,
    BoundaryObservation,
    CosineCorrelation,
    DeadNodeFraction,
    DebiasedLinearCKA,
    LinearCKA,
    NodeCorrelation,
    RankCorrelation,
)

every_case = pytest.mark.parametrize("case", CASES, ids=str)


def assert_close(value: Tensor, expected: Tensor, rtol: float = 1e-8, atol: float = 1e-9) -> None:
    torch.testing.assert_close(value.double(), expected.double(), rtol=rtol, atol=atol)


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("replicates", [None, REPLICATES])
def test_forward_gives_each_batch_and_compute_gives_all(case: Case, replicates: int | None, dtype: torch.dtype) -> None:
    batches = make_batches(replicates, dtype)
    metric = case.make(replicates)
    for batch in batches:
        assert_close(metric(*batch), case.expected([batch]), rtol=1e-6, atol=1e-7)
    value = metric.compute()
    assert_close(value, case.expected(batches))
    assert value.dtype in (torch.float64, torch.int64, torch.float32)
    assert (value.dtype == torch.float32) == isinstance(metric, DeadNodeFraction)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_like_any_other(case: Case, dtype: torch.dtype) -> None:
    batches = make_batches(dtype=dtype)
    assert_close(update_all(case.make(), batches).compute(), case.expected(batches))


@pytest.mark.parametrize("case", [case for case in CASES if not case.minibatch], ids=str)
def test_any_split_into_batches_gives_the_same(case: Case) -> None:
    [(teacher, student)] = make_batches(sizes=[61])
    once = update_all(case.make(), [(teacher, student)]).compute()
    for sizes in ([1] * 61, [60, 1], [2, 0, 59]):
        split = zip(teacher.split(sizes, -2), student.split(sizes, -2), strict=True)
        assert_close(update_all(case.make(), list(split)).compute(), once, rtol=1e-9, atol=1e-9)


@every_case
def test_replicates_do_not_mix(case: Case) -> None:
    batches = make_batches()
    together = update_all(case.make(), batches).compute()
    for replicate in range(REPLICATES):
        alone = update_all(case.make(None), [(t[replicate], s[replicate]) for t, s in batches])
        assert_close(alone.compute(), together[replicate], rtol=1e-12, atol=1e-12)


@every_case
def test_reset_starts_anew(case: Case) -> None:
    batches = make_batches()
    metric = update_all(case.make(), batches)
    metric.reset()
    assert_close(update_all(metric, batches[:1]).compute(), case.expected(batches[:1]))


@every_case
def test_clone_and_pickle_carry_the_state_and_go_their_own_way(case: Case) -> None:
    batches = make_batches()
    metric = update_all(case.make(), batches[:2])
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert_close(update_all(copy, batches[2:]).compute(), case.expected(batches))
    assert_close(metric.compute(), case.expected(batches[:2]))


@every_case
def test_state_dict_is_empty_unless_asked_for(case: Case) -> None:
    batches = make_batches()
    metric = update_all(case.make(), batches)
    assert metric.state_dict() == {}
    metric.persistent(True)
    loaded = case.make()
    loaded.persistent(True)
    loaded.load_state_dict(metric.state_dict())
    loaded._update_count = 1
    assert_close(loaded.compute(), case.expected(batches))


@every_case
def test_merge_state_adds_the_samples_of_another(case: Case) -> None:
    batches = make_batches()
    metric, other = update_all(case.make(), batches[:1]), update_all(case.make(), batches[1:])
    metric.merge_state(other)
    assert_close(metric.compute(), case.expected(batches))


@pytest.mark.parametrize("compute_groups", [False, True])
@pytest.mark.parametrize("forward", [False, True])
def test_all_in_one_collection(compute_groups: bool, forward: bool) -> None:
    batches = make_batches()
    collection = MetricCollection({str(case): case.make() for case in CASES}, compute_groups=compute_groups)
    for batch in batches:
        (collection if forward else collection.update)(teacher=batch[0], student=batch[1])
    for name, value in collection.compute().items():
        [case] = [case for case in CASES if str(case) == name]
        assert_close(value, case.expected(batches))
    collection.reset()
    collection.update(*batches[0])
    for name, value in collection.compute().items():
        [case] = [case for case in CASES if str(case) == name]
        assert_close(value, case.expected(batches[:1]), rtol=1e-6, atol=1e-7)


def test_compute_groups_join_only_what_is_updated_alike() -> None:
    collection = MetricCollection({str(case): case.make() for case in CASES})
    collection.update(*make_batches()[0])
    shared = {"LinearCKA", "RVCoefficient", "CCA", "SVCCA", "PWCCA", "ProcrustesSimilarity", "ProcrustesDistance"}
    shared |= {"LinearRegressionR2", "LinearRegressionR2-student_from_teacher"}
    groups = [set(group) for group in collection.compute_groups.values()]
    assert shared in groups
    assert all(len(group) == 1 for group in groups if group != shared)


PLANS = [([0, 1], [2]), ([0, 1, 2], [])]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    folder = tmp_path_factory.mktemp("gloo")
    torch.multiprocessing.spawn(in_one_process, (Path(folder), PLANS), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.distributed
@every_case
@pytest.mark.parametrize("plan", [0, 1], ids=["unequal", "one-empty"])
def test_two_processes_with_unequal_batches(case: Case, plan: int, two_processes: list[list[Any]]) -> None:
    batches = make_batches(dtype=torch.float32)
    for rank in range(2):
        together, again, alone = two_processes[rank][plan * len(CASES) + CASES.index(case)]
        assert_close(together, case.expected(batches))
        assert torch.equal(together, again)
        mine = [batches[index] for index in PLANS[plan][rank]]
        if mine:
            assert_close(alone, case.expected(mine), rtol=1e-6, atol=1e-7)


@every_case
def test_plot_draws_matrices_vectors_and_courses(case: Case) -> None:
    batches = make_batches()
    metric = update_all(case.make(), batches)
    figure, axes = metric.plot()
    value = metric.compute()
    if value.ndim == 3:
        assert axes.get_images()[0].get_array().shape == (TEACHER_NODES, STUDENT_NODES)
        torch.testing.assert_close(
            torch.as_tensor(axes.get_images()[0].get_array().data), value.double().mean(dim=0), check_dtype=False
        )
        assert "mean over 2 replicates" in figure.axes[1].get_ylabel()
    else:
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(value.tolist())
        _, axes = metric.plot([value, value])
        assert len(axes.lines) == REPLICATES
        _, same = metric.plot(value, ax=axes)
        assert same is axes


def test_plot_refuses_a_course_of_matrices() -> None:
    value = torch.zeros(3, 5)
    with pytest.raises(ValueError, match=r"expected scalars or \[R\] to draw lines over steps, got values \[3, 5\]"):
        NodeCorrelation(3, 5).plot([value, value])


@every_case
def test_a_device_without_float64_accumulates_in_float32(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = make_batches(dtype=torch.float32)
    made_before, reset_later = case.make(), case.make()
    for name, module in list(sys.modules.items()):
        if name.startswith("tsl.metrics") and hasattr(module, "accumulation_dtype"):
            monkeypatch.setattr(module, "accumulation_dtype", lambda device: torch.float32)
    reset_later.to("cpu").reset()
    for metric in (case.make(), made_before.to("cpu"), reset_later):
        value = update_all(metric, batches).compute()
        assert all(
            tensor.dtype in (torch.float32, torch.int64)
            for state in metric.metric_state.values()
            for tensor in (state if isinstance(state, list) else [state])
        )
        assert value.dtype in (torch.float32, torch.int64)
        assert_close(value, case.expected(batches), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("case", [case for case in CASES if case.metric.is_differentiable], ids=str)
def test_differentiable_where_it_says_so(case: Case) -> None:
    [(teacher, student)] = make_batches(None, sizes=[12])
    student = (student + torch.randn(student.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    assert torch.autograd.gradcheck(case.make(None), (teacher, student), atol=1e-6)


@every_case
def test_states_hold_on_to_no_graph(case: Case) -> None:
    metric = case.make()
    for teacher, student in make_batches():
        metric(teacher.clone().requires_grad_(), student.clone().requires_grad_())
    for state in metric.metric_state.values():
        assert not any(tensor.requires_grad for tensor in (state if isinstance(state, list) else [state]))


@every_case
def test_names_the_shapes_it_expects(case: Case) -> None:
    [(teacher, student)] = make_batches(sizes=[8])
    metric = case.make()
    with pytest.raises(ValueError, match=r"expected teacher activations \[2, samples, 3\], got \[2, 8, 5\]"):
        metric.update(student, student)
    with pytest.raises(ValueError, match=r"expected student activations \[2, samples, 5\], got \[2, 8, 3\]"):
        metric.update(teacher, teacher)
    with pytest.raises(ValueError, match=r"expected teacher activations \[2, samples, 3\], got \[8, 3\]"):
        metric.update(teacher[0], student[0])
    with pytest.raises(ValueError, match=r"of the same samples.* got teacher \[2, 8, 3\] and student \[2, 7, 5\]"):
        metric.update(teacher, student[:, 1:])
    with pytest.raises(ValueError, match=r"expected floating-point student activations, got torch\.int64"):
        metric.update(teacher, student.long())
    with pytest.raises(ValueError, match=r"expected teacher activations \[\.\.\., samples, nodes\], got \[3\]"):
        metric.update(teacher[0, 0], student[0, 0])


@every_case
@pytest.mark.parametrize("name", ["teacher_nodes", "student_nodes", "replicates"])
def test_names_a_number_that_is_not_positive(case: Case, name: str) -> None:
    sizes = {"teacher_nodes": 3, "student_nodes": 5, "replicates": 2} | {name: 0}
    with pytest.raises(ValueError, match=f"expected {name} to be at least 1, got 0"):
        case.metric(**sizes, **case.settings)


NEEDED = {RBFCKA: 4, DebiasedLinearCKA: 4, DeadNodeFraction: 1, BoundaryObservation: 0, CosineCorrelation: 0}


@pytest.mark.parametrize("case", [case for case in CASES if NEEDED.get(case.metric) != 0], ids=str)
def test_too_few_samples_are_named(case: Case) -> None:
    needed = NEEDED.get(case.metric, 2)
    batch = make_batches(sizes=[needed - 1])[0]
    metric = case.make()
    with pytest.raises(ValueError, match=f"needs at least {needed} samples, got {needed - 1}"):
        update_all(metric, [batch]).compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_no_update_at_all_is_named() -> None:
    with pytest.raises(ValueError, match="rank correlation needs at least 2 samples, got 0"):
        RankCorrelation(3, 5).compute()
    with pytest.raises(ValueError, match="linear CKA needs at least 2 samples, got 0"):
        LinearCKA(3, 5).compute()
