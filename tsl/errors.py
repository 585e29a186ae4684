"""The exceptions for mistakes that a user can correct."""


class InputError(ValueError):
    """A setting, file or value that cannot be used; the message names it and says how to correct it.

    `python -m tsl.fit` and the scripts print the message alone and exit with status 2. In Python it is a `ValueError`.
    """


class DivergenceError(InputError):
    """Training reached a loss that is not finite; the message says at which epoch, and which setting to lower."""


class CannotWriteError(InputError):
    """A file cannot be written, for example because the disk is full; the run can be resumed."""
