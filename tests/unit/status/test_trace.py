import json

import msgspec
import pytest

from mirrorsync.status.trace import TraceHop, decode, encode
from tests.unit.status.mirrors import NOW, mirror


def hop(name: str) -> TraceHop:
    return TraceHop(name=name, software="s", date="d", timestamp=-5, upstream="u", serial=None)


def trace(*hops: TraceHop) -> bytes:
    return msgspec.json.encode({"hops": hops})


def test_a_chain_begins_with_this_mirror_and_has_at_most_ten_hops() -> None:
    chain = encode(mirror(), NOW, trace(*(hop(str(number)) for number in range(20))))
    names = [each["name"] for each in json.loads(chain)["hops"]]
    assert names == ["mirror.test", *map(str, range(9))]
    assert [each.name for each in decode(chain)] == names[:9]


def test_texts_of_another_mirror_are_cut_and_escaped() -> None:
    evil = TraceHop(name="a\n\u202e" + "x" * 500, software="\x1b[2J", date="d", timestamp=-5, upstream="", serial=None)
    (read,) = decode(trace(evil))
    assert read.name == "a\\n\\u202e" + "x" * 196 + "…"
    assert read.software == "\\x1b[2J"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[" * 50_000, b'{"hops":[{}]}', b'{"hops":[null]}', b'{"hops":"x"}', b"\xff\xfe"]
)
def test_anything_else_adds_no_hop(body: bytes) -> None:
    assert decode(body) == ()
