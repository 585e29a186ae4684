"""Learning rates by epoch."""

from itertools import pairwise
from typing import Any

from jsonargparse.typing import NonNegativeInt, PositiveFloat
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tsl.errors import InputError


class Milestones(LRScheduler):
    """A learning rate from each milestone on, in place of the optimizer's own: `{0: 0.2, 20: 0.1}`.

    Args:
        optimizer: The optimizer whose rate is set, in all parameter groups.
        milestones: The rates, by the number of epochs trained before they apply: 20 means from the 21st epoch on.
            The epochs are in ascending order, and the first is 0.

    Raises:
        InputError: If the epochs are not in this order, or a rate is not positive.
    """

    def __init__(self, optimizer: Optimizer, milestones: dict[NonNegativeInt, PositiveFloat]) -> None:
        milestones = {int(epoch): rate for epoch, rate in milestones.items()}  # text, of `…milestones.20 0.05`
        epochs = list(milestones)
        ascending = epochs[:1] == [0] and all(earlier < later for earlier, later in pairwise(epochs))
        if not ascending or min(milestones.values()) <= 0:
            raise InputError(
                f"model.init_args.lr_scheduler.init_args.milestones = {milestones}: expected epochs in ascending order "
                "from 0 on, each with a positive learning rate, such as {0: 0.2, 20: 0.1}"
            )
        # Plain numbers: those of jsonargparse's types could not be loaded from a checkpoint.
        self.milestones = {int(epoch): float(rate) for epoch, rate in milestones.items()}
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group after `last_epoch` epochs."""
        passed = [rate for epoch, rate in self.milestones.items() if epoch <= self.last_epoch]
        return [passed[-1]] * len(self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """The epoch only, because the config has the milestones."""
        return {name: value for name, value in super().state_dict().items() if name != "milestones"}
