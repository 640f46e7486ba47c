"""Whether a client needs the body, and which part of it. Pure."""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Final

import msgspec

_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_ENTITY_TAG: Final = re.compile(r'(?:W/)?("[^"]*")')


class Validators(msgspec.Struct, frozen=True):
    """What tells one state of an object from another."""

    etag: str
    """Strong, with its quotes."""
    modified: int
    """Seconds since the epoch."""
    size: int
    """Bytes."""

    @property
    def last_modified(self) -> str:
        """The HTTP date of `modified`."""
        return formatdate(self.modified, usegmt=True)


class Answer(msgspec.Struct, frozen=True):
    """The status, and the part of the object that goes with it."""

    status: int
    """200, 206, 304 or 416."""
    start: int = 0
    length: int = 0
    """Bytes; 0 for 304 and 416."""


def answer(headers: Mapping[str, str], validators: Validators, *, is_get: bool) -> Answer:
    """Decide on `headers` (lower-case names; several lines joined by commas) of a GET, or else a HEAD.

    If-None-Match goes before If-Modified-Since. One range is honoured, several are answered with the whole, as are
    ranges that are not understood, whose If-Range no longer holds, or of a HEAD.
    Source: RFC 9110 sections 13.2.2, 14.2.
    """
    if _is_known(headers, validators):
        return Answer(304)
    whole = Answer(200, 0, validators.size)
    match = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    if not is_get or match is None or match.group(0) == "bytes=-" or not _range_holds(headers, validators):
        return whole
    first, last = match.groups()
    if not first:
        start, end = max(0, validators.size - int(last)), validators.size
    else:
        start, end = int(first), min(validators.size, int(last) + 1) if last else validators.size
        if last and int(last) < start:
            return whole
    return Answer(206, start, end - start) if start < end else Answer(416)


def _is_known(headers: Mapping[str, str], validators: Validators) -> bool:
    if "if-none-match" in headers:
        value = headers["if-none-match"]
        return value.strip() == "*" or validators.etag in _ENTITY_TAG.findall(value)
    since = _seconds(headers.get("if-modified-since", ""))
    return since is not None and validators.modified <= since


def _range_holds(headers: Mapping[str, str], validators: Validators) -> bool:
    condition = headers.get("if-range")
    return condition is None or condition in (validators.etag, validators.last_modified)


def _seconds(date: str) -> float | None:
    """Return the epoch seconds of an HTTP date, None where it is none: it is then as if it had not been sent."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
