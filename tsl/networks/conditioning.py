"""Make a deep teacher's nodes active on half of the inputs, and give its outputs mean 0 and variance 1.

Letters: R replicates, N inputs, d input dimension. In this file signals are `[nodes, N]`, nodes first, so that
statistics over the inputs read contiguous memory.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from tsl.errors import InputError
from tsl.networks.batch_norm import ReplicatedBatchNorm
from tsl.networks.mlp import MLP, as_mlp
from tsl.networks.network import Network


@torch.no_grad()
def condition(network: Network, inputs: Iterable[Tensor], chunk: int = 16, output_layer: bool = True) -> list[Tensor]:
    """Shift the hidden biases, and scale and shift the output layer, in place, for the given inputs.

    Layer by layer from the input, the median pre-activation of each hidden node over the inputs is subtracted from its
    bias. The node is then active (above 0) on half of them, within 1/N, unless several inputs share the median or are
    equal to it in the network's precision. Then the output layer is scaled and shifted so that every output has mean 0
    and variance 1 (over N, without Bessel's correction), as in the deeper of the paper's released experiments.

    All this refers to evaluation mode. The running statistics of BatchNorm are set, in the same pass, to the mean and
    unbiased variance over the inputs. BatchNorm before the activation gets those of the layer's affine map before its
    bias is shifted; BatchNorm after it gets those of the outputs of nodes that are active on half of the inputs.

    Replicates are processed one by one. Besides `inputs`, memory holds three times N × the nodes of the widest layer,
    and four times N × `chunk`, in numbers.

    Args:
        network: The initialized networks of R replicates.
        inputs: Inputs `[N, d]` of each replicate, whose N may differ, or all as `[R, N, d]`.
        chunk: Nodes whose medians are computed at once; it affects only memory.
        output_layer: Whether to scale and shift the output layer at the end.

    Returns:
        The fraction of the inputs on which each hidden node is now active, for layers 1 to L, `[R, nodes]` float64.

    Raises:
        InputError: If the network is not an MLP or has no biases, a node or an output is the same for every input, or
            outputs overflow.
    """
    network = as_mlp(network, "conditioning", "set model.init_args.condition_teacher: false")
    biases = [layer.bias for layer in network.layers if layer.bias is not None]
    if not biases:
        raise InputError("conditioning shifts biases: set model.init_args.teacher.init_args.bias to true")
    fractions = [torch.empty_like(bias, dtype=torch.float64) for bias in biases[:-1]]
    for replicate, of_replicate in enumerate(inputs):
        signal = of_replicate.mT
        for number, bias in enumerate(biases[:-1]):
            scale = torch.ones_like(bias)
            if network.batch_norm == "before":
                fit_statistics(network.norms[number], replicate, affine(network, number, replicate, signal))
                scale, _ = network.norms[number].affine_map()
            pre = pre_activations(network, number, replicate, signal)
            check_varies(pre, f"a node of hidden layer {number + 1}", replicate)
            bias[replicate] -= torch.cat([medians(nodes) for nodes in pre.split(chunk)]) / scale[replicate]
            del pre  # frees its memory before the next is made
            pre = pre_activations(network, number, replicate, signal)
            fractions[number][replicate] = (pre > 0).mean(dim=1, dtype=torch.float64)
            signal = network.activation(pre)
            del pre
            if network.batch_norm == "after":
                fit_statistics(network.norms[number], replicate, signal)
                signal = normalized(network, number, replicate, signal)
        if not output_layer:
            continue
        outputs = affine(network, -1, replicate, signal)
        check_varies(outputs, "an output", replicate)
        var, mean = torch.var_mean(outputs, dim=1, correction=0)
        if not var.isfinite().all():
            raise InputError(
                f"the teacher's outputs are so large ({outputs.abs().max():.1e}) that their variance overflows: take "
                "trainer.precision: 64-true, fewer hidden layers, or another activation than "
                f"{network.activation.name}"
            )
        biases[-1][replicate].sub_(mean).div_(var.sqrt())
        network.layers[-1].weight[replicate].div_(var.sqrt().unsqueeze(1))
    return fractions


def affine(network: MLP, number: int, replicate: int, signal: Tensor) -> Tensor:
    """Layer `number` (from 0) of one replicate, without BatchNorm: `[out, N]` from `[in, N]`."""
    layer = network.layers[number]
    return torch.addmm(layer.bias[replicate].unsqueeze(1), layer.weight[replicate], signal)  # type: ignore[index]


def normalized(network: MLP, number: int, replicate: int, values: Tensor) -> Tensor:
    """BatchNorm `number` (from 0) of one replicate by its running statistics, in place of its `values` `[n, N]`."""
    scale, shift = (part[replicate].unsqueeze(1) for part in network.norms[number].affine_map())
    return values.mul_(scale).add_(shift)


def pre_activations(network: MLP, number: int, replicate: int, signal: Tensor) -> Tensor:
    """Pre-activations of hidden layer `number` (from 0) of one replicate: `[n, N]` from `[in, N]`."""
    values = affine(network, number, replicate, signal)
    return normalized(network, number, replicate, values) if network.batch_norm == "before" else values


def fit_statistics(norm: ReplicatedBatchNorm, replicate: int, values: Tensor) -> None:
    """Set the running statistics of one replicate to those of `values`, `[n, N]`."""
    norm.running_var[replicate], norm.running_mean[replicate] = torch.var_mean(values, dim=1)


def medians(rows: Tensor) -> Tensor:
    """The median of every row; for an even number of values, the mean of the middle two."""
    # torch returns the lower of the two; the upper is minus the median of the negated rows.
    return (rows.median(dim=1).values - rows.neg().median(dim=1).values) / 2


def check_varies(rows: Tensor, what: str, replicate: int) -> None:
    """Raise an InputError if a row is the same for every input."""
    least, most = rows.aminmax(dim=1)
    if not (least < most).all():  # NaN too
        raise InputError(
            f"{what} of replicate {replicate} does not vary over the inputs, so it cannot be conditioned: "
            "choose another model.init_args.teacher_initialization, such as a smaller polarity, or give more inputs"
        )
