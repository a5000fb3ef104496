"""Files that the system refuses, since somebody else owns them or a disk is read-only: one message that says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from tokenmix.errors import UserError


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn the system's refusal of a file into a UserError that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot use {error.filename}: {error.strerror}; make it readable and writable (users who share results "
            "need a common group and `umask 002`) or choose another results folder"
        ) from error
