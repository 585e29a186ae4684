"""The one exception for what a user can mend."""


class InputError(ValueError):
    """A setting, file or datum that cannot be used; the message names it and says how to mend it.

    `python -m tsl.fit` and the scripts print the message alone and exit with status 2. In Python it is a `ValueError`.
    """


class DivergenceError(InputError):
    """Training reached a loss that is not finite; the message says when, and what to lower."""
