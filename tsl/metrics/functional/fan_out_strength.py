"""How strongly a node of the top hidden layer acts on the output."""

from torch import Tensor


def fan_out_strength(output_weight: Tensor) -> Tensor:
    """The norm of every node's output weights, ‖v_k‖.

    Args:
        output_weight: Weights of the output layer of a two-layer network, `[..., c, n]`: outputs by nodes.

    Returns:
        `[..., n]`, from 0; higher is stronger. Cost: one pass over the weights.

    Source: the paper's two-layer experiments (Tian, ICML 2020). For deeper layers the strength is √E_x β_kk(x), see
    `tsl.theory`.

    Example:
        >>> import torch
        >>> fan_out_strength(torch.tensor([[3.0, 0.0], [4.0, 1.0]]))
        tensor([5., 1.])
    """
    return output_weight.norm(dim=-2)
