"""What a comparison costs beside the forward passes, and beside torch-cka and cka-pytorch; run by hand.

    python benchmarks/compare.py

All pairs of layers with an activation of ResNet-18 against ResNet-34 (random weights), debiased linear CKA of flattened
outputs in minibatches, images of 64 × 64. The two libraries watch one output for each module, so of a ReLU that is
called twice the last. They compute on fewer images, and their time is taken for as many.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tsl.compare import compare

BATCH = 100


def seconds(run: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def forward(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The forward passes alone."""
    with torch.inference_mode():
        for batch in inputs.split(BATCH):
            for network in networks:
                network(batch)


def relus(network: nn.Module) -> list[str]:
    """Its modules with an activation."""
    return [name for name, module in network.named_modules() if isinstance(module, nn.ReLU)]


def torch_cka(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The library torch-cka."""
    from torch_cka import CKA

    loader = DataLoader(TensorDataset(inputs, inputs), batch_size=BATCH)
    names = [relus(network) for network in networks]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        cka = CKA(*networks, "a", "b", model1_layers=names[0], model2_layers=names[1])
        cka.compare(loader)


def cka_pytorch(networks: tuple[nn.Module, nn.Module], inputs: torch.Tensor) -> None:
    """The library cka-pytorch."""
    from cka_pytorch import CKACalculator

    loader = DataLoader(TensorDataset(inputs, inputs), batch_size=BATCH)
    names = [relus(network) for network in networks]
    calculator = CKACalculator(*networks, names[0], names[1], verbose=False, hook_recursive=False)
    calculator.calculate_cka_matrix(loader, num_epochs=1)


def main() -> None:
    """Measure, and print seconds for all images and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--images-of-libraries", type=int, default=400)
    asked = parser.parse_args()
    torch.manual_seed(0)

    def make() -> tuple[nn.Module, nn.Module]:
        return torchvision.models.resnet18(weights=None).eval(), torchvision.models.resnet34(weights=None).eval()

    inputs, few = torch.randn(asked.images, 3, 64, 64), torch.randn(asked.images_of_libraries, 3, 64, 64)
    scale = asked.images / asked.images_of_libraries
    networks = make()
    forward(networks, few)  # warms up
    passes = seconds(lambda: forward(networks, inputs))
    ours = seconds(lambda: compare(*networks, inputs.split(BATCH), measures=["minibatch_cka"]))
    theirs = {
        name: scale * seconds(lambda run=run: run(make(), few))  # type: ignore[misc]
        for name, run in (("torch-cka", torch_cka), ("cka-pytorch", cka_pytorch))
    }
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {asked.images} images")
    print(f"forward passes {passes:8.1f} s")
    print(f"tsl.compare    {ours:8.1f} s  {ours / passes:5.2f} × the forward passes (goal: 1.6)")
    for name, value in theirs.items():
        print(f"{name:14} {value:8.1f} s  {value / ours:5.2f} × tsl.compare (goal: 5)")


if __name__ == "__main__":
    main()
