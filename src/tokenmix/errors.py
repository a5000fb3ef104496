"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake the user can mend.

    The message says what is wrong, where, and what to do. Commands print it to standard error
    without a traceback and end with exit code 2.
    """
