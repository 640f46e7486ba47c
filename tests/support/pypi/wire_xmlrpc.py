"""XML-RPC as PyPI implements it: faults have HTTP status 200, None is `<nil/>`, integers have 32 bits. Pure."""

import re
import xml.parsers.expat
import xmlrpc.client
from collections.abc import Sequence
from typing import Any, Final, cast
from xml.sax.saxutils import escape

import msgspec

from tests.support.pypi.values import Listed, Row

MEDIA_TYPE: Final = "text/xml; charset=UTF-8"
_INT_MAX: Final = 2**31 - 1
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_HERE: Final = {
    "list_packages",
    "package_data",
    "package_releases",
    "package_urls",
    "release_data",
    "release_urls",
    "search",
    "top_packages",
}


class Call(msgspec.Struct, frozen=True):
    """A request's method and its parameters."""

    method: str
    parameters: tuple[Any, ...]


class Fault(Exception):  # noqa: N818 - XML-RPC's own word
    """An answer that is a fault."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        super().__init__(text)


def parse_call(body: bytes) -> Call:
    """Return the call. Raises: Fault."""
    try:
        parameters, method = xmlrpc.client.loads(body)
    except (xml.parsers.expat.ExpatError, xmlrpc.client.ResponseError, ValueError, TypeError, KeyError) as error:
        raise Fault(-32700, "parse error; not well formed") from error
    if method is None:
        raise Fault(-32700, "parse error; not well formed")
    return Call(method, cast("tuple[Any, ...]", parameters))


def refusal(method: str) -> Fault:
    """Return PyPI's fault for a method other than the three for mirrors."""
    if method == "changelog":
        text = "ValueError: The changelog method has been deprecated, use changelog_since_serial instead."
    elif method == "system.multicall":
        text = "ValueError: MultiCall requests have been deprecated, use individual requests instead."
    elif method in _NOT_HERE:
        text = f"RuntimeError: PyPI no longer supports the XMLRPC {method} method. Use JSON or Simple API instead."
    else:
        return Fault(-32601, "server error; requested method not found")
    return Fault(-32500, text)


def since_argument(parameters: tuple[Any, ...]) -> int:
    """Return changelog_since_serial's one parameter. Raises: Fault."""
    if len(parameters) != 1:
        raise Fault(-32602, "server error; invalid method params")
    (serial,) = parameters
    if not isinstance(serial, int):
        raise Fault(-32602, "client error; serial: Input should be a valid integer")
    return serial


def no_argument(parameters: tuple[Any, ...]) -> None:
    """Refuse any parameter. Raises: Fault."""
    if parameters:
        raise Fault(-32602, "server error; invalid method params")


def fault(problem: Fault) -> bytes:
    """Return a fault's body."""
    return _response(xmlrpc.client.dumps(xmlrpc.client.Fault(problem.code, problem.text), methodresponse=True))


def rate_limited(seconds: int | None) -> Fault:
    """Return the fault of the rate limit; `seconds` None: without PyPI's hint."""
    hint = f" Limit may reset in {seconds} seconds." if seconds is not None else ""
    text = "HTTPTooManyRequests: The action could not be performed because there were too many requests by the client."
    return Fault(-32500, text + hint)


def last_serial(serial: int | None) -> bytes:
    """Return changelog_last_serial's answer. Raises: Fault."""
    _fit(serial or 0)
    return _response(xmlrpc.client.dumps((serial,), methodresponse=True, allow_none=True))


def packages(listing: Sequence[Listed]) -> bytes:
    """Return list_packages_with_serial's answer. Raises: Fault."""
    members = "".join(
        f"<member>\n<name>{escape(row.display_name)}</name>\n<value><int>{_fit(row.serial)}</int></value>\n</member>\n"
        for row in listing
    )
    return _single(f"<value><struct>\n{members}</struct></value>\n")


def changelog(rows: Sequence[Row]) -> bytes:
    """Return changelog_since_serial's answer: the output of the standard library, ten times as fast.

    Raises: Fault.
    """
    values = "".join(
        f"<value><array><data>\n{_text(row.name)}{_text(row.version)}<value><int>{row.timestamp}</int></value>\n"
        f"{_text(_sanitised(row.action))}<value><int>{_fit(row.serial)}</int></value>\n</data></array></value>\n"
        for row in rows
    )
    return _single(f"<value><array><data>\n{values}</data></array></value>\n")


def _text(text: str | None) -> str:
    if text is None:
        return "<value><nil/></value>"
    return f"<value><string>{escape(text)}</string></value>\n"


def _sanitised(action: str) -> str:
    if action.isascii() and action.isprintable():
        return action
    return _ILLEGAL.sub("", action).encode("ascii", "xmlcharrefreplace").decode()


def _fit(serial: int) -> int:
    if serial > _INT_MAX:
        raise Fault(-32500, "application error")
    return serial


def _single(value: str) -> bytes:
    return _response(f"<methodResponse>\n<params>\n<param>\n{value}</param>\n</params>\n</methodResponse>\n")


def _response(document: str) -> bytes:
    body = document.removeprefix("<?xml version='1.0'?>\n")
    return f"<?xml version='1.0'?>\n{body}".encode()
