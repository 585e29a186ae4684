"""Students of images: every position a sample, labels told, records as loops over images spell them out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pytorch_lightning.loggers import CSVLogger

from tests.image_students import SHAPE, image_module
from tests.labelled import TinyImages
from tsl.callbacks import SpecializationRecords
from tsl.errors import InputError
from tsl.metrics import LinearCKA
from tsl.metrics.functional import linear_cka
from tsl.modules import TeacherStudent
from tsl.networks import DefaultInitialization, Initialization
from tsl.runs.records import read_table


class PrunedTeacher(Initialization):
    """A teacher whose second channel of layer 2 leads nowhere."""

    def __call__(self, network: Any, generators: Any, teacher: Any = None) -> None:
        DefaultInitialization()(network, generators)
        with torch.no_grad():
            network.layers[2].weight.unflatten(2, (4, -1))[:, :, 1] = 0


@pytest.fixture
def recorded(fit: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Path, Any, Any]]:
    def run(records: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **settings: Any) -> Any:
        module, images = image_module(**settings), TinyImages(SHAPE, replicates=settings["replicates"], **(data or {}))
        logger = CSVLogger(tmp_path)
        callback = SpecializationRecords(**(records or {}))
        fit(module, images, max_epochs=1, num_sanity_val_steps=-1, logger=logger, callbacks=[callback])
        return Path(logger.log_dir), module.eval(), images

    return run


@torch.no_grad()
def observed(module: TeacherStudent, images: TinyImages) -> tuple[Any, Any, torch.Tensor]:
    """Activations of teacher and student for all evaluation images at once, and their labels."""
    inputs, labels = images.images(images.val_size, seed=2)
    inputs = inputs.double().expand(module.replicates, *inputs.shape)
    return module.teacher.activations(inputs), module.student.activations(inputs), labels


def samples(maps: torch.Tensor) -> np.ndarray:
    """A row for every image and position of `[B, C, H, W]`."""
    images, _, height, width = maps.shape
    return np.stack([maps[i, :, y, x].numpy() for i, y, x in np.ndindex(images, height, width)])


def test_every_position_is_a_sample(recorded: Any) -> None:
    """Correlations, observations and alignments of both layers, against numpy over a loop of images and positions."""
    run, module, images = recorded(
        {"pairs": True, "alignments": {"cka": LinearCKA}}, replicates=2, teacher_initialization=PrunedTeacher()
    )
    teacher, student, _ = observed(module, images)
    pairs, nodes, layers = (
        read_table(run, table).query("epoch == 1") for table in ("pairs", "teacher_nodes", "layers")
    )
    for r in range(2):
        for layer in range(2):
            t, s = samples(teacher.post[layer][r]), samples(student.post[layer][r])
            t_on, s_on = samples(teacher.pre[layer][r]) > 0, samples(student.pre[layer][r]) > 0
            active = [0, 2, 3] if layer else [0, 1, 2]
            rho = np.corrcoef(t.T, s.T)[: t.shape[1], t.shape[1] :][active]
            where = f"replicate == {r} and layer == {layer + 1}"
            own = pairs.query(where).pivot(index="teacher_node", columns="student_node", values="correlation")
            assert list(own.index - 1) == active
            np.testing.assert_allclose(own, rho, atol=2e-6)
            assert layers.query(where)["rho_mean"].item() == pytest.approx(rho.max(axis=1).mean(), abs=2e-6)
            both = t_on.T.astype(int) @ s_on
            seen = np.minimum(both, s_on.sum(axis=0) - both).max(axis=1)[active] > 0
            assert nodes.query(where)["observed"].tolist() == seen.tolist()
            cka = linear_cka(torch.from_numpy(t), torch.from_numpy(s)).item()
            assert layers.query(where)["cka"].item() == pytest.approx(cka, abs=1e-9)
            assert 0 < layers.query(where)["rho_mean_null"].item() < layers.query(where)["rho_mean"].item()


def test_accuracies_are_hits_against_labels_and_teacher(recorded: Any) -> None:
    run, module, images = recorded(replicates=2)
    teacher, student, labels = observed(module, images)
    chosen, right = student.output.argmax(dim=-1), teacher.output.argmax(dim=-1)
    losses = read_table(run, "losses").query("epoch == 1")
    for r in range(2):
        row = losses[losses["replicate"] == r]
        assert row["accuracy"].item() == sum(a == b for a, b in zip(chosen[r], labels, strict=True)) / 48
        assert row["teacher_accuracy"].item() == sum(a == b for a, b in zip(right[r], labels, strict=True)) / 48
        assert row["teacher_agreement"].item() == sum(a == b for a, b in zip(chosen[r], right[r], strict=True)) / 48
    metrics = pd.read_csv(run / "metrics.csv").query("epoch == 1").max()  # one row for each scalar
    assert metrics["val/accuracy"] == pytest.approx(losses["accuracy"].mean())
    assert metrics["val/teacher_agreement_std"] == pytest.approx(losses["teacher_agreement"].std())


def test_replicate_r_among_many_is_as_the_replicate_alone(recorded: Any) -> None:
    """Training, estimates that draw probes, and null levels."""
    run, module, _ = recorded(replicates=2)
    alone, own, _ = recorded(replicates=1, seed=1, data={"seed": 1})
    for name, values in own.student.state_dict().items():
        torch.testing.assert_close(module.student.state_dict()[name][1], values[0], rtol=0, atol=1e-9)
    for table in ("layers", "student_nodes", "teacher_nodes", "losses"):
        among = read_table(run, table).query("replicate == 1").drop(columns="replicate").reset_index(drop=True)
        by_itself = read_table(alone, table).drop(columns="replicate")
        pd.testing.assert_frame_equal(among, by_itself, rtol=1e-5, atol=1e-7)


def test_batches_do_not_matter_to_what_streams(recorded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but null levels and estimates, which take some images of every batch."""
    run, _, _ = recorded(replicates=1)
    monkeypatch.setattr("tests.labelled.EVALUATION_BATCH", 48)
    whole, _, _ = recorded(replicates=1)
    for table, columns in {"layers": ["rho_mean"], "teacher_nodes": ["best_correlation", "observed"]}.items():
        split, once = (read_table(directory, table)[columns] for directory in (run, whole))
        pd.testing.assert_frame_equal(split, once, rtol=0, atol=1e-6)


def test_lemma_matrices_are_of_mlps(recorded: Any) -> None:
    with pytest.raises(InputError, match=r"records.mean_matrices is for tsl.networks.MLP, not for ConvNet: set it to"):
        recorded({"mean_matrices": True}, replicates=1)
