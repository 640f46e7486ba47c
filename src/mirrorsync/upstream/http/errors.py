"""Errors of the transport, and the only place where they and HTTP's statuses become mirrorsync's errors."""

import ssl
from http import HTTPStatus
from typing import ClassVar, Final

from mirrorsync.errors import DownloadError, Malformed, Missing, Recovery, Throttled, Unreachable, UpstreamError
from mirrorsync.model import retry_after as header

LONGEST_RETRY_AFTER: Final = 86_400.0
"""Seconds; an upstream that asks for a longer wait is asked again after a day."""
_BLOCKED_FOR: Final = 3_600.0
"""Seconds to stay away after a block, because further requests prolong it."""
_PORTAL_HINT: Final = "a captive portal, a proxy or an error page answers in place of the index; open the URL and look"
_SERVER_HINT: Final = "the index has a fault of its own; nothing was lost, the next sync continues"
_REASON: Final = 60
"""Characters of a reason phrase that are shown."""


class TransportError(Exception):
    """A request failed below HTTP. The subclasses have the names of httpx's."""


class TransportTimeout(TransportError):  # noqa: N818 -- as httpx names it
    """A step took too long."""


class ConnectTimeout(TransportTimeout):
    """No connection was made in time."""


class ReadTimeout(TransportTimeout):
    """Nothing was received in time."""


class WriteTimeout(TransportTimeout):
    """Nothing could be sent in time."""


class ConnectError(TransportError):
    """No connection was made: the name, the network or TLS failed."""


class ProxyError(TransportError):
    """The proxy refused the request."""


class ReadError(TransportError):
    """The connection broke while receiving."""


class WriteError(TransportError):
    """The connection broke while sending."""


class RemoteProtocolError(TransportError):
    """The peer violated HTTP/1.1."""


class LocalProtocolError(TransportError):
    """The request would violate HTTP/1.1."""


class CutShort(Malformed):
    """The body ended before HTTP or its coding says that it is complete; a retry is right."""

    recovery: ClassVar[Recovery] = Recovery.RETRY


class ServerFault(Unreachable):
    """The server is up but fails: a 5xx, or silence after it took the request."""


class AccessDenied(Unreachable):
    """An immediate retry would not help: a certificate, a block list, a login."""

    recovery: ClassVar[Recovery] = Recovery.DEFER


def transport_error(error: TransportError, what: str) -> UpstreamError:
    """Return the error for a failure before the headers arrived."""
    match error:
        case ConnectTimeout():
            return Unreachable(what, why="no connection in time", hint="network, firewall, or [upstream] proxy")
        case TransportTimeout():
            return ServerFault(what, why=str(error))
        case ProxyError():
            return Unreachable(what, why=f"the proxy refuses: {error}", hint="[upstream] proxy")
        case ConnectError():
            return _connect_error(error, what)
        case RemoteProtocolError():
            return Unreachable(what, why=f"not an HTTP/1.1 response ({error})")
        case _:
            return Unreachable(what, why=f"the connection broke ({str(error) or type(error).__name__})")


def read_error(error: TransportError, what: str) -> UpstreamError:
    """Return the error for a failure within the body."""
    if isinstance(error, TransportTimeout):
        return ServerFault(what, why=f"{error} in the middle of the body")
    return CutShort(what, why=f"the body was cut ({str(error) or type(error).__name__})")


def index_status_error(
    what: str, status: int, reason: str, *, retry_after: str | None, media_type: str
) -> UpstreamError:
    """Return the error for an unwanted status of the index; `retry_after` is that header."""
    why = _status_line(status, reason)
    if throttled := _throttled(what, status, why, retry_after):
        return throttled
    if status == HTTPStatus.FORBIDDEN and media_type == "text/plain":
        return AccessDenied(
            what,
            why=f"{why}: this address seems to be blocked",
            hint="the index blocks addresses that send too many requests: use fewer connections, set a contact, wait",
            retry_after=_BLOCKED_FOR,
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        return AccessDenied(
            what, why=why, hint="the index, or a proxy in front of it, requires a login or refuses this address"
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault(what, why=why, hint=_SERVER_HINT)
    return Malformed(what, why=f"{why}, which its protocol does not use here")


def file_status_error(what: str, status: int, reason: str, *, retry_after: str | None) -> UpstreamError | DownloadError:
    """Return the error for an unwanted status of the file host."""
    why = _status_line(status, reason)
    if throttled := _throttled(what, status, why, retry_after):
        return throttled
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerFault(what, why=why, hint=_SERVER_HINT)
    return Missing(what, why=why)


def wrong_type(what: str, *, found: str, wanted: str) -> Malformed:
    """Return the error for a body of another content type."""
    hint = _PORTAL_HINT if "html" in found else ""
    return Malformed(what, why=f"the response is {found[:80]!r}, not {wanted}", hint=hint)


def _status_line(status: int, reason: str) -> str:
    """Return status and reason, cut between words: masking does not recognise half a password."""
    shown = reason if len(reason) <= _REASON else reason[:_REASON].rpartition(" ")[0]
    return f"HTTP {status} {shown}".rstrip()


def _throttled(what: str, status: int, why: str, retry_after: str | None) -> Throttled | None:
    wait = header.retry_after(retry_after, longest=LONGEST_RETRY_AFTER)
    is_unavailable = status == HTTPStatus.SERVICE_UNAVAILABLE and wait is not None
    if status != HTTPStatus.TOO_MANY_REQUESTS and not is_unavailable:
        return None
    why = why if wait is None else f"{why}; asked to wait {wait:g} s"
    return Throttled(what, why=why, retry_after=wait, hint="[upstream] connections, poll-interval")


def _connect_error(error: ConnectError, what: str) -> Unreachable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AccessDenied(
                what,
                why=f"its certificate cannot be trusted: {cause.verify_message}",
                hint="a wrong clock, a proxy that intercepts TLS, or [upstream] ca-file",
            )
        if isinstance(cause, ssl.SSLError):
            return Unreachable(what, why=f"no TLS: {cause.reason or cause}")
        cause = cause.__cause__ or cause.__context__
    return Unreachable(what, why=f"no connection ({error})", hint="network, name service, or [upstream] proxy")
