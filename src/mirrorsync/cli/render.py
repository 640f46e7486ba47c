"""Print errors and values for people and for scripts, as plain text without markup or terminal commands."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from mirrorsync.config.rules import SecretUrl
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.wording import printable
from mirrorsync.observe.redaction import mask


def print_line(text: str = "") -> None:
    """Write one line for people to standard output."""
    sys.stdout.write(f"{printable(text)}\n")


def print_error(error: MirrorsyncError) -> None:
    """Write `error: what: why`, and `hint: …` if there is a hint, to standard error, without secrets."""
    sys.stderr.write(f"error: {printable(mask(str(error)))}\n")
    if error.hint:
        sys.stderr.write(f"hint: {printable(mask(error.hint))}\n")


def print_warning(text: str) -> None:
    """Write `warning: …` to standard error."""
    sys.stderr.write(f"warning: {printable(text)}\n")


def print_json(value: Any) -> None:
    """Write `value` as indented JSON to standard output; paths as text, URLs without passwords."""
    body = msgspec.json.format(msgspec.json.encode(value, enc_hook=_encoded), indent=2)
    sys.stdout.write(f"{body.decode()}\n")


def aligned(rows: Sequence[Sequence[str]], *, gap: int = 2) -> tuple[str, ...]:
    """Return one line per row, with each column as wide as its widest cell. All rows have the same number of cells."""
    escaped = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*escaped, strict=True)]
    return tuple(
        (" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in escaped
    )


@contextmanager
def exits() -> Iterator[None]:
    """Print a MirrorsyncError, bare or alone in exception groups, and exit with its code.

    Use it as a block or as the decorator `@exits()` below a command's. Any other exception is a bug and propagates.
    Raises: SystemExit.
    """
    try:
        yield
    except (MirrorsyncError, BaseExceptionGroup) as caught:
        error = _only(caught)
        if not isinstance(error, MirrorsyncError):
            raise
        print_error(error)
        raise SystemExit(error.exit_code) from None


def _only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _encoded(value: Any) -> str:
    if isinstance(value, SecretUrl):
        return value.shown
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")
