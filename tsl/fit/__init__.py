"""Train students: `python -m tsl.fit --config two_layer.yaml [--setting value …]`.

A LightningCLI without the subcommand word. A run is written to `<trainer.default_root_dir>/<experiment>/<version>/`.
"""

import sys
from collections.abc import Sequence

from tsl.fit.screen import screen


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake in the input ends it with one message and status 2.

    `--help` prints one screen, and `--help=all` prints every setting. The word `fit` may come first, as in commands
    written for Lightning.

    Args:
        arguments: The command line without the program's name; the process's own if None.
    """
    arguments = sys.argv[1:] if arguments is None else [*arguments]
    arguments = arguments[1:] if arguments[:1] == ["fit"] else arguments
    if {"-h", "--help"} & {*arguments}:
        print(screen())
        sys.exit(0)
    from tsl.fit.command_line import run  # imports torch, which takes seconds and which the screen does not need

    run(["--help" if word == "--help=all" else word for word in arguments])
