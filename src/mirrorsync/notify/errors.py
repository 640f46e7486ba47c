"""Errors of sinks, without their secrets."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.model.retry_after import retry_after

_LONGEST_WAIT: Final = 3600.0
"""Seconds."""
_BODY_LIMIT: Final = 200
"""Characters of a response body that an error quotes."""


class NotifyError(MirrorsyncError):
    """A sink could not be notified; the changes are kept and sent again."""

    recovery = Recovery.RETRY


def refusal(sink: str, status: int, body: bytes, wait: str | None, secrets: Iterable[str]) -> NotifyError:
    """Return the error for a response that is no success; `wait` is its Retry-After header."""
    hint = "the changes are kept, and sent again automatically"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        hint = "its token, secret or access list refuses this mirror"
    elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        hint = (
            "check its address, service or zone in the configuration; a cache must allow the method (docs/purging.md)"
        )
    text = without(body.decode("utf-8", "replace"), secrets)
    why = f"it said {text[:_BODY_LIMIT]!r}" if text.strip() else ""
    return NotifyError(
        f"{sink} answers {status}", why=why, hint=hint, retry_after=retry_after(wait, longest=_LONGEST_WAIT)
    )


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with `***` in place of each secret."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
