"""The exception for mistakes that a user can mend, and the message for files that the system refuses."""

import errno


class UserError(Exception):
    """A mistake the user can mend.

    The message says what is wrong, where, and what to do. Commands print it to standard error
    without a traceback and end with exit code 2.
    """


def is_refusal(error: OSError) -> bool:
    """Whether somebody else owns the file, or its disk is read-only."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def refused(error: OSError) -> str:
    """The message about a file that the system refuses."""
    return (
        f"cannot use {error.filename or 'a file'}: {error.strerror}; make it readable and writable (users who share "
        "results need a common group and `umask 002`) or choose another folder"
    )
