"""How a command ends that can be given again: `tsl.reproduce`, `tsl.sweep` and `tsl.sample_complexity`."""

import shlex
import sys
from collections.abc import Callable, Sequence

from tsl.errors import InputError


def exit_status(program: str, arguments: Sequence[str], work: Callable[[], int]) -> int:
    """Do the work of a command; gives its exit status.

    Args:
        program: The command without arguments, such as "python -m tsl.sweep".
        arguments: What was given to it.
        work: Does it and gives the exit status.

    Returns:
        What `work` gives, 2 after a user's mistake, or 130 after Ctrl-C, each with a message on stderr.
    """
    try:
        return work()
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = f"{program} {shlex.join(arguments)}"
        print(f"stopped; finished work is kept. The same command continues it:\n  {again}", file=sys.stderr)
        return 130
