"""The LightningModule that trains networks on labels, for example as teachers."""

from collections.abc import Callable
from typing import Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor

from tsl.data import DataModule, Labelled
from tsl.data.samples import Chunk, consecutive
from tsl.errors import InputError
from tsl.metrics.replicates import ReplicateMean
from tsl.modules.losses import accuracy, label_cross_entropy
from tsl.modules.steps import StepModule, check_shapes
from tsl.names import VAL_ACCURACY, VAL_LOSS
from tsl.networks import FeedForward, Initialization
from tsl.networks.channel_pruning import KeptNodes
from tsl.randomness import replicate_generators


class Classifier(StepModule):
    """Train R networks on labels by cross-entropy.

    A training batch is a chunk of K minibatches, inputs `[K, R, B, ...]` with labels `[K, R, B]`, for which K optimizer
    steps are taken; an evaluation batch is `[R, B, ...]` with `[R, B]`. Nodes without any outgoing weight at the start,
    those of a pruned network, stay without.

    Args:
        network: Makes the networks, given the number of replicates: `tsl.networks.ConvNet` with its other arguments, or
            `tsl.networks.Pretrained` for networks from a file.
        initialization: Initialization of their weights; null for networks that already have weights.
        optimizer: Makes the optimizer. It has to work elementwise (SGD, Adam, …), or replicates would influence each
            other.
        lr_scheduler: Makes a learning-rate schedule, stepped once an epoch.
        replicates: Number R of independent networks.
        seed: Seed of replicate 0 (replicate r has seed + r), or a list of seeds that repeats along the replicates.
        on_divergence: What happens when the loss or a weight of a replicate is no longer finite: the run stops
            ("stop"), or that replicate stays as it was after its last finite step and the others train on ("freeze").
            Its training loss is NaN from then on, it is marked as diverged in the table `replicates`, and logged means
            leave it out.
    """

    def __init__(
        self,
        network: Callable[[int], FeedForward],
        initialization: Initialization | None,
        optimizer: OptimizerCallable,
        lr_scheduler: LRSchedulerCallable | None = None,
        replicates: PositiveInt = 1,
        seed: NonNegativeInt | list[NonNegativeInt] = 0,
        on_divergence: Literal["stop", "freeze"] = "stop",
    ) -> None:
        super().__init__(optimizer, lr_scheduler, replicates, seed, on_divergence=on_divergence)
        self.make_network = network
        self.initialization = initialization
        self.val_accuracy = ReplicateMean(replicates)

    def make_networks(self, data: DataModule | None = None) -> None:
        """Make and initialize the networks; see the base class.

        Raises:
            InputError: If they have no weights, or the data no labels.
        """
        if data is not None and not data.labelled:
            raise InputError(
                f"model.class_path = tsl.modules.Classifier learns labels, but {type(data).__name__} has no "
                "labels: set data.class_path to data with labels, such as tsl.data.CIFAR10DataModule"
            )
        self.network = self.make_network(self.replicates)
        if self.initialization is not None:
            self.initialization(self.network, replicate_generators("teacher", self.seed, self.replicates))
        elif any(parameter.isnan().any() for parameter in self.network.parameters()):
            raise InputError(
                f"model.init_args.network = {type(self.network).__name__} comes without weights: set "
                "model.init_args.initialization, or take networks from a file with tsl.networks.Pretrained"
            )
        self.kept_nodes = KeptNodes(self.network.active_nodes())
        self.is_made = True

    def show_networks(self, data: DataModule) -> None:
        """Give the data the networks, which its augmentation may need."""
        data.teacher = self.network

    @property
    def trained_network(self) -> FeedForward:
        """The networks."""
        return self.network

    def objective(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of the labels, `[R]`."""
        return label_cross_entropy(outputs, targets)

    def after_step(self) -> None:
        """Set the outgoing weights of pruned nodes back to zero: momentum, weight decay and gradients move them."""
        self.kept_nodes.mask_(self.network)

    def on_fit_start(self) -> None:
        """Check that the data suits the networks.

        Raises:
            InputError: If its inputs have another shape, or minibatches have too few samples for BatchNorm.
        """
        shape = self.data.input_shape
        if not self.network.accepts(shape):
            raise InputError(
                f"data gives inputs of shape {shape}, but the network takes {self.network.input_shape}: set "
                "model.init_args.network.init_args.input_shape, or input_dim, to the data's"
            )
        self.check_batch_norm("model.init_args.network.init_args.batch_norm to null")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that a checkpoint fits the networks; see the base class.

        Raises:
            InputError: If it does not; the message lists every tensor of another shape.
        """
        super().on_load_checkpoint(checkpoint)
        check_shapes(checkpoint["state_dict"], self.state_dict(), "model.init_args.network and replicates")

    def training_step(self, batch: Chunk | Labelled, batch_idx: int) -> None:
        """Take one optimizer step for each of the K minibatches of a chunk."""
        chunk = Chunk.of(batch)
        inputs, labels = chunk.samples.batch(chunk.index)  # [R, K, B, ...]
        self.take_steps(inputs.flatten(1, 2), labels.flatten(1, 2), consecutive(labels))

    def validation_step(self, batch: Labelled, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add the losses and accuracies of an evaluation batch; only those of the first dataloader are logged."""
        if dataloader_idx == 0:
            inputs, labels = batch
            outputs = self.network(inputs)
            if labels.max() >= outputs.shape[-1]:
                raise InputError(
                    f"labels go up to {int(labels.max())}, counted from 0, but there are {outputs.shape[-1]} outputs: "
                    "set model.init_args.network.init_args.output_dim to the number of classes"
                )
            self.val_loss.update(label_cross_entropy(outputs, labels), labels.shape[1])
            self.val_accuracy.update(accuracy(outputs, labels), labels.shape[1])

    def on_validation_epoch_start(self) -> None:
        """Reset loss and accuracy."""
        self.val_loss.reset()
        self.val_accuracy.reset()

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracy."""
        self.log_scalars({VAL_LOSS: self.val_loss.compute(), VAL_ACCURACY: self.val_accuracy.compute()})
