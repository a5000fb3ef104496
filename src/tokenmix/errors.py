"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """A mistake the user can mend.

    The message says what is wrong, where, and what to do. Commands print it to standard error
    without a traceback and end with exit code 2.
    """


def refused(error: OSError) -> str:
    """The message about a file that the system refuses, since somebody else owns it or a disk is read-only."""
    return (
        f"cannot use {error.filename}: {error.strerror}; make it readable and writable (users who share results "
        "need a common group and `umask 002`) or choose another folder"
    )
