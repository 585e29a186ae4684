import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.fitting import TINY, weights
from tsl.fit import main
from tsl.modules.load_run import load_run
from tsl.modules.teacher_of_run import TeacherOfRun, download
from tsl.networks import MLP
from tsl.randomness import replicate_generators

CLASS = ["--model.init_args.teacher_initialization", "tsl.modules.TeacherOfRun"]
RUN = "--model.init_args.teacher_initialization.init_args.run"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 2 replicates, of which only what its artifact holds is left."""
    root = tmp_path_factory.mktemp("source")
    main([*TINY, "--trainer.default_root_dir", str(root), "--trainer.max_epochs", "1", "--seed_everything", "7"])
    run = root / "tiny/version_0"
    for name in ("records", "metrics.csv"):
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    return run


def network(replicates: int = 2, widths: tuple[int, ...] = (4,)) -> MLP:
    return MLP(replicates, input_dim=6, widths=list(widths), output_dim=3)


def teacher_of(run: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in weights(run).items() if name.startswith("teacher.")}


def test_a_run_trains_on_the_teacher_of_another_and_is_loaded_without_it(source: Path, tmp_path: Path) -> None:
    gone = shutil.copytree(source, tmp_path / "source")
    settings = ["--trainer.default_root_dir", str(tmp_path), "--trainer.max_epochs", "1", "--seed_everything", "3"]
    main([*TINY, *settings, *CLASS, RUN, str(gone)])
    run = tmp_path / "tiny/version_0"
    for name, tensor in teacher_of(source).items():
        assert torch.equal(tensor, teacher_of(run)[name])
    shutil.rmtree(gone)
    loaded = load_run(run).module.teacher.state_dict()
    for name, tensor in teacher_of(source).items():
        assert torch.equal(tensor, loaded[name.removeprefix("teacher.")])


def test_a_teacher_of_one_replicate_serves_all(source: Path, tmp_path: Path) -> None:
    checkpoint = torch.load(source / "checkpoints/last.ckpt", weights_only=True)
    state = {name: tensor[:1] if tensor.ndim else tensor for name, tensor in checkpoint["state_dict"].items()}
    (tmp_path / "checkpoints").mkdir()
    torch.save(checkpoint | {"state_dict": state}, tmp_path / "checkpoints/last.ckpt")
    student = network(replicates=5).double()
    TeacherOfRun(str(tmp_path))(student, replicate_generators("teacher", 0, 5))
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, state[f"teacher.{name}"].expand_as(tensor))


def test_an_artifact_is_used_through_the_current_wandb_run(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    used: list[str] = []

    def use_artifact(name: str) -> SimpleNamespace:
        used.append(name)
        return SimpleNamespace(download=lambda: str(source))

    monkeypatch.setattr(wandb, "run", SimpleNamespace(use_artifact=use_artifact))
    student = network().double()
    TeacherOfRun("me/tsl/tiny-abc-checkpoint:v0")(student, replicate_generators("teacher", 0, 2))
    assert used == ["me/tsl/tiny-abc-checkpoint:v0"]
    assert torch.equal(student.layers[0].weight, teacher_of(source)["teacher.layers.0.weight"])


def test_offline_an_artifact_cannot_be_had_and_a_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(mode="offline", dir=tmp_path)
    remedy = r"a:v0 cannot be downloaded: .*offline.*`wandb artifact get a:v0`.*give its directory"
    try:
        with pytest.raises(ValueError, match=remedy):
            download("a:v0")
    finally:
        run.finish()


def test_without_a_login_an_artifact_cannot_be_had(logged_out: None) -> None:
    with pytest.raises(ValueError, match=r"a:v0 cannot be downloaded: .*wandb login"):
        download("a:v0")


def test_a_directory_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    for run in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ValueError, match=f"{run}/checkpoints/last.ckpt does not exist: give the directory of a run"
        ):
            TeacherOfRun(str(run))(network(), replicate_generators("teacher", 0, 2))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.ckpt is damaged"):
        TeacherOfRun(str(tmp_path))(network(), replicate_generators("teacher", 0, 2))
    torch.save({"state_dict": {"student.weight": torch.zeros(1)}}, tmp_path / "checkpoints/last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt holds no teacher"):
        TeacherOfRun(str(tmp_path))(network(), replicate_generators("teacher", 0, 2))


@pytest.mark.parametrize("other", [network(replicates=3), network(widths=(5,)), network(widths=(4, 4))])
def test_a_teacher_of_another_shape_is_refused(source: Path, other: MLP) -> None:
    with pytest.raises(
        ValueError, match=r"(?s)another network:\n  layers.*\nset model.init_args.teacher.init_args and replicates"
    ):
        TeacherOfRun(str(source))(other, replicate_generators("teacher", 0, other.replicates))
