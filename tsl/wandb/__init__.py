"""Everything about Weights & Biases: logger, board, charts, pictures, artifacts, dashboard."""

from tsl.wandb.board import WandbBoard
from tsl.wandb.logger import WandbRunLogger

__all__ = ["WandbBoard", "WandbRunLogger"]
