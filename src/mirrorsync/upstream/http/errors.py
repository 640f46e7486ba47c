"""What httpx's exceptions and HTTP's statuses mean: the one place where they become our errors."""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import ClassVar, Final

import httpx
import msgspec

from mirrorsync.errors import DownloadError, Malformed, Missing, Recovery, Throttled, Unreachable, UpstreamError

LONGEST_RETRY_AFTER: Final = 86_400.0
"""Seconds: an upstream that asks for more than a day is asked again after a day."""
_BLOCKED_FOR: Final = 3_600.0
"""Seconds to stay away after a block: asking on is what prolongs it."""
_PORTAL_HINT: Final = "a captive portal, a proxy or an error page answers in the index's place; open the URL and look"

_REASON: Final = 60
"""Characters of a reason phrase that are repeated."""


class Head(msgspec.Struct, frozen=True):
    """A status line and headers, by their lower-case names."""

    status: int
    reason: str
    headers: Mapping[str, str]


class CutShort(Malformed):
    """The body ended before HTTP or its encoding says that it is complete: asking again is right."""

    recovery: ClassVar[Recovery] = Recovery.RETRY


class ServerFault(Unreachable):
    """The server is there and does not do its work: a 5xx, or silence after it took the request."""


class AccessDenied(Unreachable):
    """Asking again at once would not help: a certificate, a block list, a login."""

    recovery: ClassVar[Recovery] = Recovery.DEFER


_TROUBLE: Final = "the index has trouble of its own; nothing was lost, the next sync goes on"


def transport_error(error: httpx.HTTPError, what: str, *, silence: float) -> UpstreamError:
    """Return what a failure before the headers means; `silence` in seconds."""
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Unreachable(what, why="no connection in time", hint="network, firewall, or [upstream] proxy")
        case httpx.TimeoutException():
            return ServerFault(what, why=f"no byte for {silence:g} s")
        case httpx.ProxyError():
            return Unreachable(what, why=f"the proxy refuses: {error}", hint="[upstream] proxy")
        case httpx.ConnectError():
            return _connect_error(error, what)
        case httpx.RemoteProtocolError():
            return Unreachable(what, why=f"not an HTTP/1.1 answer ({error})")
        case _:
            return Unreachable(what, why=f"the connection broke ({str(error) or type(error).__name__})")


def read_error(error: httpx.HTTPError, what: str, *, silence: float) -> UpstreamError:
    """Return what a failure in the body means."""
    if isinstance(error, httpx.TimeoutException):
        return ServerFault(what, why=f"no byte for {silence:g} s in the middle of the body")
    return CutShort(what, why=f"the body was cut ({str(error) or type(error).__name__})")


def page_status_error(head: Head, what: str) -> UpstreamError:
    """Return what an unexpected status of the index means."""
    status = head.status
    why = _status_line(head)
    if throttled := _throttled(head, what, why):
        return throttled
    if status == HTTPStatus.FORBIDDEN and media_type(head) == "text/plain":
        return AccessDenied(
            what,
            why=f"{why}: this address seems to be blocked",
            hint="the index blocks addresses that ask too much: fewer connections, a contact; then wait hours",
            retry_after=_BLOCKED_FOR,
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        return AccessDenied(what, why=why, hint="the index or a proxy before it wants a login, or refuses this address")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault(what, why=why, hint=_TROUBLE)
    return Malformed(what, why=f"{why}, which its protocol does not use here")


def file_status_error(head: Head, what: str) -> UpstreamError | DownloadError:
    """Return what an unexpected status of the file host means."""
    why = _status_line(head)
    if throttled := _throttled(head, what, why):
        return throttled
    if head.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault(what, why=why, hint=_TROUBLE)
    return Missing(what, why=why)


def _status_line(head: Head) -> str:
    """Return status and reason, cut between two words: of half a password nobody would see that it is one."""
    reason = head.reason if len(head.reason) <= _REASON else head.reason[:_REASON].rpartition(" ")[0]
    return f"HTTP {head.status} {reason}".rstrip()


def wrong_type(what: str, *, found: str, wanted: str) -> Malformed:
    """Return the error for a body of another content type."""
    hint = _PORTAL_HINT if "html" in found else ""
    return Malformed(what, why=f"the answer is {found[:80]!r}, not {wanted}", hint=hint)


def media_type(head: Head) -> str:
    """Return the content type without its parameters, lower case; empty when there is none."""
    told: str = head.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower()


def retry_after(text: str | None) -> float | None:
    """Return a Retry-After header in seconds from now, None when it is absent or unreadable.

    Source: RFC 9110 10.2.3.
    """
    if text is None:
        return None
    if text.strip().isdecimal() and text.isascii():
        seconds = float(text) if len(text.strip()) < len("100000000") else LONGEST_RETRY_AFTER
        return min(seconds, LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _throttled(head: Head, what: str, why: str) -> Throttled | None:
    after = retry_after(head.headers.get("retry-after"))
    status = head.status
    unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE and after is not None
    if status != HTTPStatus.TOO_MANY_REQUESTS and not unavailable:
        return None
    asked = f"{why}; asked to wait {after:g} s" if after is not None else why
    return Throttled(what, why=asked, retry_after=after, hint="[upstream] connections, poll-interval")


def _connect_error(error: httpx.ConnectError, what: str) -> Unreachable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AccessDenied(
                what,
                why=f"its certificate is not to be trusted: {cause.verify_message}",
                hint="the clock, a proxy that breaks TLS open, or [upstream] ca-file",
            )
        if isinstance(cause, ssl.SSLError):
            return Unreachable(what, why=f"no TLS: {cause.reason or cause}")
        cause = cause.__cause__ or cause.__context__
    return Unreachable(what, why=f"no connection ({error})", hint="network, name service, or [upstream] proxy")
