"""Telling somebody of a change that did not work: what, why, and without the secrets."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from mirrorsync.errors import MirrorsyncError, Recovery
from mirrorsync.model.retry_after import retry_after

_LONGEST_WAIT: Final = 3600.0
_SHOWN: Final = 200
"""Characters of somebody's answer that an error repeats."""


class PurgeError(MirrorsyncError):
    """A sink could not be told; what it is to be told waits and is told later."""

    recovery = Recovery.RETRY


def refusal(who: str, status: int, answer: bytes, wait: str | None, secrets: Iterable[str]) -> PurgeError:
    """Return the error that an answer other than success is; `wait` is its Retry-After."""
    hint = "what is to be told it waits, and is told again by itself"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        hint = "its token, secret or access list does not let this mirror in"
    elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        hint = "its address, service or zone in the configuration; a cache must allow the method (docs/purging.md)"
    said = without(answer.decode("utf-8", "replace"), secrets)
    why = f"it said {said[:_SHOWN]!r}" if said.strip() else ""
    return PurgeError(
        f"{who} answers {status}", why=why, hint=hint, retry_after=retry_after(wait, longest=_LONGEST_WAIT)
    )


def without(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with `***` in place of each secret."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
