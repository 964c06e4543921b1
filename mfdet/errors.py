"""The one exception for mistakes that the user can mend."""


class InputError(ValueError):
    """A file, option or value given by the user is wrong.

    The message is one sentence that names it and says what would be right; a command prints it and exits with 2.
    """


class NonFiniteError(InputError):
    """A loss, a gradient or a matching cost is not finite; the message says which."""
