"""XML-RPC as PyPI speaks it: calls out, values and faults in. Pure."""

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
"""A full answer of 50,000 rows has 1.3 million; the parser needs some 100 bytes for each that stays open."""
_BROKEN: Final = (
    ExpatError,
    marshal.ResponseError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
)
"""What the standard library's parser raises for XML that is no answer."""


def dumps(method: str, *arguments: int) -> bytes:
    """Return the body of a call."""
    return marshal.dumps(arguments, method).encode()


def loads(body: bytes, *, what: str) -> Any:
    """Return the one value of an answer.

    Raises: CutShort (the XML ends early), Malformed (it is no answer, or declares entities); for faults Throttled,
    NoChangelog, ServerFault.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(what, why=f"the XML is not UTF-8 ({error.reason} at byte {error.start:,})") from error
    # Handed over as text, so that no declared encoding can hide markup from this check.
    text = _DECLARATION.sub("", text, count=1)
    if "<!" in text or "<?" in text:
        raise Malformed(what, why="the XML carries declarations (DOCTYPE, ENTITY), which no answer has")
    if text.count("<") > _MOST_TAGS:
        raise Malformed(what, why=f"the XML has more than {_MOST_TAGS:,} tags")
    if not text.rstrip().endswith("</methodResponse>"):
        raise CutShort(what, why=f"the XML ends early, after {len(body):,} bytes")
    try:
        values, _ = marshal.loads(text, use_builtin_types=True)
    except marshal.Fault as fault:
        raise _fault_error(fault, what) from fault
    except _BROKEN as error:
        raise Malformed(what, why=f"the XML is no answer ({type(error).__name__}: {str(error)[:200]})") from error
    if len(values) != 1:
        raise Malformed(what, why=f"the answer has {len(values)} values, not one")
    return values[0]


def _fault_error(fault: marshal.Fault, what: str) -> Throttled | NoChangelog | Unreachable:
    # Both are what the answer says, of whatever type it likes.
    code: Any = fault.faultCode
    told: Any = fault.faultString
    text = told[:300] if isinstance(told, str) else reprlib.repr(told)
    why = f"fault {reprlib.repr(code)}: {text}"
    if text.startswith("HTTPTooManyRequests") or "too many requests" in text:
        reset = _RESET.search(text)
        after = min(float(reset[1]) + 1, LONGEST_RETRY_AFTER) if reset else None
        return Throttled(what, why=why, retry_after=after, hint="[upstream] poll-interval; others behind this address")
    if code == _UNAVAILABLE or text.strip() == _APPLICATION_ERROR:
        return ServerFault(what, why=why)
    hint = "this index has no such method" if code == _NO_METHOD else ""
    return NoChangelog(what, why=why, hint=hint)
