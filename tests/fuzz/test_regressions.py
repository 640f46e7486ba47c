"""Former findings of the fuzzer, each as its shortest input."""

from typing import Final

import pytest

from tests.fuzz.targets import TARGETS, Target

_BY_NAME: Final = {target.name: target for target in TARGETS}
_DEEP: Final = 3000
_LONG: Final = b"1" * 5000


def _xml(value: bytes) -> bytes:
    return b"<methodResponse><params><param><value>" + value + b"</value></param></params></methodResponse>"


def _nested(inner: bytes = b"") -> bytes:
    return b"<array><data><value>" * _DEEP + inner + b"</value></data></array>" * _DEEP


def _fault(code: bytes, text: bytes) -> bytes:
    members = b"".join(
        b"<member><name>" + name + b"</name><value>" + value + b"</value></member>"
        for name, value in ((b"faultCode", code), (b"faultString", text))
    )
    return b"<methodResponse><fault><value><struct>" + members + b"</struct></value></fault></methodResponse>"


_FOUND: Final[dict[str, tuple[str, bytes]]] = {
    "a number out of range, deep in a page": (
        "page",
        b'{"files":' + b'{"a":[' * 400 + b"-1" + _LONG + b"]}" * 400 + b"}",
    ),
    "a row nested too deeply to be shown": ("journal", _xml(_nested())),
    "a text nested too deeply to be shown": (
        "journal",
        _xml(b"<array><data><value>" + _nested(b"x") + b"</value></data></array>"),
    ),
    "a fault's text nested too deeply to be shown": ("journal", _fault(b"<int>1</int>", _nested())),
    "a fault's code nested too deeply to be shown": ("journal", _fault(_nested(), b"x")),
    "a redirect to a bracket": ("addresses", b"//["),
    "a redirect to half an IPv6 address": ("addresses", b"https:////[-1::1]:8080/"),
    "a redirect to a host that NFKC makes another": ("addresses", "//a℀b/".encode()),
    "a redirect that fills the log": ("addresses", b"http://files.test/" + _LONG),
    "a redirect that fills the log and leaves TLS": ("addresses", b"http://files.test/x" + _LONG),
    "a file's URL that fills the log": ("addresses", "https://,\x9d".encode() + _LONG),
    "a file's name that fills the log": ("file", b"x" * 5000 + b"\nhttps://files.test/y"),
    "a file's name in a page that fills the log": (
        "page",
        b'{"files":[{"filename":"' + _LONG + b'","url":"https://files.test/y","hashes":{}}],'
        b'"meta":{"api-version":"1.0"},"name":"holy-grail"}',
    ),
    "an odd file's name in a page that fills the log": (
        "page",
        b'{"files":[{"filename":"' + _LONG + b'","url":"https://files.test/y","hashes":7}],'
        b'"meta":{"api-version":"1.0"},"name":"holy-grail"}',
    ),
}


@pytest.mark.parametrize(("name", "data"), _FOUND.values(), ids=_FOUND)
def test_former_finding_is_refused_or_harmless(name: str, data: bytes) -> None:
    _BY_NAME[name].check(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_valid_documents_are_accepted(target: Target) -> None:
    assert any(target.check(data) for data in target.recipe.seeds)
