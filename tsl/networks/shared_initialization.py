"""One teacher for all replicates."""

from collections.abc import Sequence

from jsonargparse.typing import NonNegativeInt
from torch import Generator

from tsl.networks.feed_forward import FeedForward
from tsl.networks.initialization import Initialization
from tsl.networks.network import Network
from tsl.randomness import generator


class SharedInitialization(Initialization):
    """Another initialization, drawn once: the same weights for all replicates, and for every seed of the run.

    Settings that are lists still differ along the replicates.

    Args:
        initialization: How the weights are drawn, such as `tsl.networks.SeparableInitialization`.
        seed: Seed of the draw.
    """

    def __init__(self, initialization: Initialization, seed: NonNegativeInt = 0) -> None:
        self.initialization = initialization
        self.seed = seed

    def __call__(self, network: FeedForward, generators: Sequence[Generator], teacher: Network | None = None) -> None:
        """Initialize `network`; see the class."""
        self.initialization(network, [generator("teacher", self.seed) for _ in generators], teacher)
