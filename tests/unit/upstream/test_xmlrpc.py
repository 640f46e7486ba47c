import tracemalloc
from typing import Any, Final
from xmlrpc import client as marshal

import pytest

from mirrorsync.errors import Malformed, MirrorsyncError, NoChangelog, Throttled
from mirrorsync.upstream import xmlrpc
from mirrorsync.upstream.http.errors import CutShort, ServerFault


def answer(value: Any) -> bytes:
    return marshal.dumps((value,), methodresponse=True, allow_none=True).encode()


def fault(code: int, text: str) -> bytes:
    return marshal.dumps(marshal.Fault(code, text), methodresponse=True).encode()


def wrapped(inner: str) -> bytes:
    return f"<?xml version='1.0'?><methodResponse><params><param>{inner}</param></params></methodResponse>".encode()


BOMB: Final = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "'
    + b"&lol;" * 1000
    + b'">]><methodResponse><params><param><value>&lol2;</value></param></params></methodResponse>'
)
NO_ANSWERS: Final = (
    BOMB,
    BOMB.decode().encode("utf-16"),
    BOMB.decode().replace('version="1.0"', 'version="1.0" encoding="utf-7"').encode("utf-7"),
    b"<!DOCTYPE html><html></html>",
    b"\xff\xfe",
    b"<methodResponse></methodResponse>",
    b"<methodResponse><params></params></methodResponse>",
    wrapped("<value><int>x</int></value>"),
    wrapped("<value><int>" + "9" * 5000 + "</int></value>"),
    wrapped("<value><double>x</double></value>"),
    wrapped("<value><bigdecimal>x</bigdecimal></value>"),
    wrapped("<value><boolean>maybe</boolean></value>"),
    wrapped("<value><dateTime.iso8601>x</dateTime.iso8601></value>"),
    wrapped("<value><string>\x01</string></value>"),
    wrapped("<array></array></array>"),
    wrapped("<value><struct></data></struct></value>"),
    wrapped("<unknown/>"),
    wrapped("<value><int>1</int></value><value><int>2</int></value>"),
    b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
    b"<methodResponse><fault><value><struct></struct></value></fault></methodResponse>",
    b"<a>" * 5_000_000 + b"</methodResponse>",
)


def test_values_round_trip() -> None:
    rows = [["a", None, 1_700_000_000, "add py3 file é&<.whl", 7], ["", "", 0, "keyrotate ", 8]]
    assert xmlrpc.loads(answer(rows), what="call") == rows
    assert xmlrpc.loads(answer(None), what="call") is None


def test_a_call_is_plain_xml_rpc() -> None:
    assert marshal.loads(xmlrpc.dumps("changelog_since_serial", 5)) == ((5,), "changelog_since_serial")


@pytest.mark.parametrize("body", NO_ANSWERS, ids=range(len(NO_ANSWERS)))
def test_invalid_response_is_malformed_and_cheap(body: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(Malformed):
        xmlrpc.loads(body, what="call")
    assert tracemalloc.get_traced_memory()[1] < 40 * 1024 * 1024
    tracemalloc.stop()


@pytest.mark.parametrize("kept", [0, 1, 30, 200, -1, -30])
def test_response_that_ends_early_is_an_error(kept: int) -> None:
    body = answer([["a", "1", 1, "create", 1]]).rstrip()
    with pytest.raises(CutShort):
        xmlrpc.loads(body[:kept], what="call")


@pytest.mark.parametrize(
    ("code", "text", "error"),
    [
        (-32601, "server error; requested method not found", NoChangelog),
        (-32500, "RuntimeError: This method is no longer supported", NoChangelog),
        (-32602, "client error; serial: Input should be a valid integer", NoChangelog),
        (-32700, "parse error; not well formed", NoChangelog),
        (-32500, "application error", ServerFault),
        (-32403, "server error; service unavailable", ServerFault),
        (12, "something new", NoChangelog),
    ],
)
def test_fault_becomes_the_matching_error(code: int, text: str, error: type[MirrorsyncError]) -> None:
    with pytest.raises(error, match=f"fault {code}"):
        xmlrpc.loads(fault(code, text), what="call")


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [(" Limit may reset in 17 seconds.", 18.0), ("", None), (" Limit may reset in 999999999 seconds.", 86_400.0)],
)
def test_rate_limit_fault_has_the_wait(hint: str, seconds: float | None) -> None:
    text = f"HTTPTooManyRequests: The action could not be performed because there were too many requests.{hint}"
    with pytest.raises(Throttled) as throttled:
        xmlrpc.loads(fault(-32500, text), what="call")
    assert throttled.value.retry_after == seconds
