"""XML-RPC as PyPI uses it: encode calls, decode values and faults. Pure."""

import re
import reprlib
from typing import Any, Final
from xml.parsers.expat import ExpatError
from xmlrpc import client as marshal  # entity bombs are refused in `loads` before a parser sees the body

from mirrorsync.errors import Malformed, NoChangelog, Throttled, Unreachable
from mirrorsync.upstream.http.errors import LONGEST_RETRY_AFTER, CutShort, ServerFault

MEDIA_TYPE: Final = "text/xml"
_NO_METHOD: Final = -32601
_UNAVAILABLE: Final = -32403
_APPLICATION_ERROR: Final = "application error"
_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]{0,200}\?>")
_RESET: Final = re.compile(r"Limit may reset in (\d{1,9}) seconds")
_MOST_TAGS: Final = 4_000_000
"""A full response of 50,000 rows has 1.3 million; the parser needs about 100 bytes for each open tag."""
_BROKEN: Final = (
    ExpatError,
    marshal.ResponseError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
)
"""What the standard library raises for XML that is no response."""


def dumps(method: str, *arguments: int) -> bytes:
    """Return the body of a call."""
    return marshal.dumps(arguments, method).encode()


def loads(body: bytes, *, what: str) -> Any:
    """Return the one value of a response.

    Raises: CutShort (the XML ends early), Malformed (no response, or entity declarations); for faults Throttled,
    NoChangelog, ServerFault.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(what, why=f"the XML is not UTF-8 ({error.reason} at byte {error.start:,})") from error
    # Parsed as text, so that no declared encoding can hide markup from this check.
    text = _DECLARATION.sub("", text, count=1)
    if "<!" in text or "<?" in text:
        raise Malformed(what, why="the XML has declarations (DOCTYPE, ENTITY), which no response has")
    if text.count("<") > _MOST_TAGS:
        raise Malformed(what, why=f"the XML has more than {_MOST_TAGS:,} tags")
    if not text.rstrip().endswith("</methodResponse>"):
        raise CutShort(what, why=f"the XML ends early, after {len(body):,} bytes")
    try:
        values, _ = marshal.loads(text, use_builtin_types=True)
    except marshal.Fault as fault:
        raise _fault_error(fault, what) from fault
    except _BROKEN as error:
        raise Malformed(what, why=f"the XML is no response ({type(error).__name__}: {str(error)[:200]})") from error
    if len(values) != 1:
        raise Malformed(what, why=f"the response has {len(values)} values, not one")
    return values[0]


def _fault_error(fault: marshal.Fault, what: str) -> Throttled | NoChangelog | Unreachable:
    # Both come from the response and may have any type.
    code: Any = fault.faultCode
    message: Any = fault.faultString
    text = message[:300] if isinstance(message, str) else reprlib.repr(message)
    why = f"fault {reprlib.repr(code)}: {text}"
    if text.startswith("HTTPTooManyRequests") or "too many requests" in text:
        reset = _RESET.search(text)
        after = min(float(reset[1]) + 1, LONGEST_RETRY_AFTER) if reset else None
        return Throttled(
            what, why=why, retry_after=after, hint="[upstream] poll-interval; other clients may share this address"
        )
    if code == _UNAVAILABLE or text.strip() == _APPLICATION_ERROR:
        return ServerFault(what, why=why)
    hint = "this index has no such method" if code == _NO_METHOD else ""
    return NoChangelog(what, why=why, hint=hint)
