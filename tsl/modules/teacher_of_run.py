"""The teacher of an earlier run, from the run's directory or from its artifact in W&B."""

from collections.abc import Sequence
from pathlib import Path

from torch import Generator, Tensor

from tsl.errors import InputError
from tsl.networks import FeedForward, Initialization, Network
from tsl.tensor_files import read_tensors

CHECKPOINT = Path("checkpoints", "last.ckpt")
PREFIX = "teacher."


class TeacherOfRun(Initialization):
    """The teacher of an earlier run, as that run trained on it: conditioned, pruned or as it was drawn.

    Args:
        run: The directory of a run, or the name of an artifact logged by `WandbBoard`, `[entity/]project/name:alias`;
            W&B then shows that this run uses it. A teacher of one replicate is copied to all.
            `model.init_args.condition_teacher` would condition it again, on the inputs of this run.
    """

    def __init__(self, run: str) -> None:
        self.run = run

    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class.

        Raises:
            InputError: If there is no such run or artifact, or its teacher is of another shape.
        """
        path = Path(self.run) / CHECKPOINT
        if not Path(self.run).exists() and ":" in self.run:
            path = download(self.run) / CHECKPOINT
        if not path.is_file():
            raise InputError(
                f"tsl.modules.TeacherOfRun: {path} does not exist: give the directory of a run with a "
                "checkpoint, or an artifact as [entity/]project/name:alias "
                "(model.init_args.teacher_initialization.init_args.run)"
            )
        network.load_state_dict(expanded(teacher_weights(path), network))


def teacher_weights(path: Path) -> dict[str, Tensor]:
    """The teacher in a checkpoint, by its own names.

    Raises:
        InputError: If the checkpoint is damaged, or there is no teacher in it.
    """
    saved = read_tensors(path, f"tsl.modules.TeacherOfRun: {path}", keys=["state_dict"])["state_dict"]
    weights = {name.removeprefix(PREFIX): values for name, values in saved.items() if name.startswith(PREFIX)}
    if not weights:
        raise InputError(f"tsl.modules.TeacherOfRun: {path} holds no teacher: give a run of tsl.modules.TeacherStudent")
    return weights


def expanded(weights: dict[str, Tensor], network: FeedForward) -> dict[str, Tensor]:
    """The weights for the replicates of `network`, from weights of one replicate or of the same number.

    Raises:
        InputError: If the weights are of a network of another shape.
    """
    shapes = {name: list(values.shape) for name, values in network.state_dict().items()}
    one = {name: [1, *shape[1:]] if shape else shape for name, shape in shapes.items()}
    saved = {name: list(values.shape) for name, values in weights.items()}
    if saved not in (shapes, one):
        differing = sorted(name for name in saved.keys() | shapes.keys() if saved.get(name) != shapes.get(name))
        words = [
            f"  {name} is {saved.get(name, 'missing')} there, {shapes.get(name, 'missing')} here" for name in differing
        ]
        raise InputError(
            "tsl.modules.TeacherOfRun: the teacher of that run is another network:\n" + "\n".join(words) + "\nset "
            "model.init_args.teacher.init_args and replicates (or 1 there) as they are in its config.yaml"
        )
    return {name: values.expand(shapes[name]) for name, values in weights.items()}


def download(artifact: str) -> Path:
    """Download an artifact, and record in W&B that the current run uses it, if there is one.

    Args:
        artifact: Its name, `[entity/]project/name:alias`.

    Returns:
        The directory of its files.

    Raises:
        InputError: If it cannot be downloaded.
    """
    try:
        import wandb

        found = wandb.run.use_artifact(artifact) if wandb.run is not None else wandb.Api().artifact(artifact)
        return Path(found.download())
    except Exception as error:  # offline, not logged in, no such artifact, not installed: all differ in class
        raise InputError(
            f"tsl.modules.TeacherOfRun: the artifact {artifact} cannot be downloaded: {' '.join(str(error).split())}. "
            f"Download it with `wandb artifact get {artifact}` where W&B can be reached, and give its directory "
            "(model.init_args.teacher_initialization.init_args.run)"
        ) from error
