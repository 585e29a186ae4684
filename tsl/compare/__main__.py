"""Compare networks: `python -m tsl.compare A B --data DIR --out FOLDER`."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tsl.compare.blocks import Inputs
from tsl.compare.comparison import Comparison, Pair
from tsl.compare.engine import compare_many
from tsl.compare.measures import MINIBATCH, NAMES
from tsl.errors import InputError

EPILOG = """A network is a run of tsl (runs/NAME/VERSION, or a file in its checkpoints/; append :teacher for its
teacher), an import path (package.module.function), or the name of a model of torchvision or timm (resnet18,
timm/resnet18). Append =FILE to an import path or a name to load a file of weights. Measures: """


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare networks and write tables, pictures and a page.

    Args:
        arguments: The command line without the program's name; that of the process if None.

    Returns:
        The exit status: 2 if something named cannot be used.
    """
    asked = _parser().parse_args(arguments)
    try:
        _compare(asked)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(asked.out / "report.html")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tsl.compare",
        description="Compare networks: every layer with every layer, every node with every node.",
        epilog=EPILOG + ", ".join(NAMES) + ".",
    )
    add = parser.add_argument
    add(
        "networks",
        nargs="+",
        metavar="NETWORK",
        help="one or more networks, see below; one alone is compared with itself",
    )
    add(
        "--data",
        metavar="DIR",
        help="image folder, CIFAR-10's folder, .npy or .pt file (default: the run's own)",
    )
    add("--out", type=Path, default=Path("comparison"), metavar="FOLDER", help="where to write (default: %(default)s)")
    add("--layers", nargs="+", metavar="NAME", help="names of layers; * matches anything (default: every activation)")
    add("--measures", nargs="+", metavar="NAME", default=list(NAMES), help="measures (default: all)")
    add(
        "--nodes",
        nargs="+",
        metavar="A:B",
        default=[],
        help="pairs of layers whose nodes are drawn (default: the closest)",
    )
    add("--count", type=int, metavar="N", help="inputs, drawn at random (default: all)")
    add(
        "--size", type=int, default=224, help="rows and columns of the images of an image folder (default: %(default)s)"
    )
    add("--replicate", type=int, default=0, help="replicate of a run (default: %(default)s)")
    add("--weights-key", metavar="KEY", help="key under which a file holds its weights")
    return parser


def _compare(asked: argparse.Namespace) -> None:
    from tsl.compare.sources import inputs_of, network_of, unique

    if asked.count is not None and asked.count < 1:
        raise InputError(f"--count {asked.count}: expected a positive number of inputs")
    made = [network_of(source, asked.weights_key, asked.replicate) for source in asked.networks]
    sources, made = (asked.networks * 2, made * 2) if len(made) == 1 else (asked.networks, made)
    networks = dict(zip(unique(_short(source) for source in sources), (module for module, _ in made), strict=True))
    inputs: Inputs = inputs_of(asked.data, sources[0], asked.size, asked.count, asked.replicate)
    asked.out.mkdir(parents=True, exist_ok=True)  # fails before the work if it cannot be written
    found = compare_many(networks, inputs, layers=asked.layers, measures=asked.measures, progress=True)
    notes = list(dict.fromkeys(note for _, said in made for note in said))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    _write(found, list(networks), asked, notes)


def _write(found: Comparison, names: list[str], asked: argparse.Namespace, notes: list[str]) -> None:
    from tsl.compare.figures import draw_layers, draw_networks, draw_nodes
    from tsl.compare.page import make_page

    found.save(asked.out)
    pairs_of_networks = list(dict.fromkeys(zip(found.layers["network_a"], found.layers["network_b"], strict=True)))
    pictures = []
    if len(names) > 2:
        drawn = [(f"networks_{name}", draw_networks(found, name)) for name in asked.measures]
        pictures += [("Networks", name, figure) for name, figure in drawn]
    for a, b in pairs_of_networks:
        heading = f"Layers of {a} and {b}"
        pictures += [(heading, f"layers_{a}_{b}_{name}", draw_layers(found, name, a, b)) for name in asked.measures]
    nodes: pd.DataFrame | None = None
    if set(asked.measures) != {MINIBATCH}:
        chosen = [pair for a, b in pairs_of_networks for pair in _node_pairs(found, a, b, asked.nodes)]
        nodes = pd.concat([found.nodes(*pair[2:], *pair[:2]) for pair in chosen], ignore_index=True)
        for pair in chosen:
            pictures.append((f"Nodes of {pair[0]} and {pair[1]}", "nodes_" + "_".join(pair), draw_nodes(found, pair)))
        if asked.nodes:
            nodes.to_parquet(asked.out / "nodes.parquet", index=False)
    for _, name, figure in pictures:
        figure.savefig(asked.out / f"{re.sub(r'[^0-9A-Za-z_.-]+', '-', name)}.png")
    page = make_page(found, names, [(heading, figure) for heading, _, figure in pictures], nodes, notes)
    (asked.out / "report.html").write_text(page, encoding="utf-8")


def _node_pairs(found: Comparison, a: str, b: str, asked: Sequence[str]) -> list[Pair]:
    """The pairs of layers whose nodes are drawn.

    Raises:
        InputError: If a requested pair is not written as A:B.
    """
    layers = [tuple(pair.split(":")) for pair in asked] or found.closest(a, b)
    wrong = [pair for pair, split in zip(asked, layers, strict=False) if len(split) != 2]
    if wrong:
        raise InputError(f"--nodes {wrong[0]}: expected a layer of each network, as LAYER_A:LAYER_B")
    return [(a, b, *pair) for pair in layers]  # type: ignore[misc]


def _short(source: str) -> str:
    """A network's name in tables: experiment and version of a run; otherwise the name without its file of weights."""
    path = Path(source.removesuffix(":teacher").removesuffix(":student"))
    if not path.exists():
        return source.partition("=")[0]
    side = next((each for each in (":teacher", ":student") if source.endswith(each)), "")
    if path.is_file():
        return f"{path.resolve().parent.parent.name}/{path.name}{side}"
    return f"{path.resolve().parent.name}/{path.resolve().name}{side}"


if __name__ == "__main__":
    sys.exit(main())
