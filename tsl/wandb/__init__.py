"""Everything about Weights & Biases: logger, board, charts, pictures (in TensorBoard too), artifacts, dashboard."""

from tsl.wandb.board import WandbBoard
from tsl.wandb.logger import WandbRunLogger
from tsl.wandb.tensorboard import TensorBoardPictures

__all__ = ["TensorBoardPictures", "WandbBoard", "WandbRunLogger"]
