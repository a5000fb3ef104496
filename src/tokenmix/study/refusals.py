"""Files that the system refuses, told as one message."""

from collections.abc import Iterator
from contextlib import contextmanager

from tokenmix.errors import UserError, refused


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turn the system's refusal of a file into a UserError that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(refused(error)) from error
