"""Learned keys of an index: pages decode faster, to the same values."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrorsync.errors import Malformed
from mirrorsync.simple import layout
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.simple.encode import encode_page
from mirrorsync.simple.shape import KNOWN_SHAPE, Keys, Shape
from tests.unit.simple.pages import NAME, PAGE_URL, body_of, decoded, entry, page, sha256_of

KNOWN = [
    "size",
    "url",
    "yanked",
    "provenance",
    "core-metadata",
    "requires-python",
    "hashes",
    "name",
    "versions",
    "gpg-sig",
]
KEY = st.sampled_from(["zebra", "x.y", "alternate-locations", "a b", "ö", "sha256", "md5", "", *KNOWN])
SCALAR = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner), max_leaves=6
)


@st.composite
def pages_of_an_index(draw: st.DrawFn) -> list[bytes]:
    """Pages that share some keys, in the order in which they are read."""
    bodies = []
    for _ in range(draw(st.integers(1, 4))):
        raw = page(
            *(entry(name) for name in draw(st.lists(st.sampled_from(["a.zip", "b.whl", "c.tar.gz"]), unique=True)))
        )
        places = [raw, raw["meta"], *raw["files"], *(file["hashes"] for file in raw["files"])]
        for target in draw(st.lists(st.sampled_from(places), max_size=4)):
            target[draw(KEY)] = draw(VALUE | st.just("aa"))
        bodies.append(body_of(raw))
    return bodies


def result(decoder: PageDecoder, body: bytes) -> object:
    """Return everything that a caller can observe of decoding `body`."""
    try:
        got = decoder.decode(body, requested=NAME, page_url=PAGE_URL)
    except Malformed as refused:
        return refused.what
    return msgspec.structs.asdict(got), encode_page(got, layout.relative_link)


def shape_after(*pages: dict[str, Any]) -> Shape:
    shape = KNOWN_SHAPE
    for each in pages:
        shape = shape.learn(decoded(each))
    return shape


@given(pages_of_an_index())
@settings(deadline=None, max_examples=200)
def test_learned_keys_never_change_a_result(bodies: list[bytes]) -> None:
    learned = PageDecoder()
    for body in [*bodies, *bodies]:
        assert result(learned, body) == result(PageDecoder(), body)


def test_a_page_with_learned_keys_is_parsed_in_one_pass() -> None:
    raw = page(
        entry(zebra={"b": [1, None]}, hashes={"md5": "aa", "sha256": sha256_of("a").hex()}),
        alternate_locations=[],
        meta={"_last-serial": 42, "_tracking": "x", "api-version": "1.4"},
    )
    with pytest.raises(msgspec.DecodeError):
        KNOWN_SHAPE.parse(body_of(raw))
    shape = shape_after(raw)
    assert shape.keys == Keys(("alternate-locations",), ("_tracking",), ("zebra",), ("md5",))
    parsed = shape.parse(body_of(raw))
    assert (parsed.extra, parsed.meta_extra) == ({"alternate-locations": []}, {"_tracking": "x"})
    (((_, others, extra),)) = parsed.entries
    assert (others, extra) == ((("md5", "aa"),), {"zebra": {"b": [1, None]}})


@pytest.mark.parametrize("level", ["page", "meta", "file"])
def test_a_deep_value_in_a_learned_key_is_refused(level: str) -> None:
    def body_with(value: object) -> bytes:
        body = page(entry())
        {"page": body, "meta": body["meta"], "file": body["files"][0]}[level]["zebra"] = value
        return body_of(body)

    deep: list[Any] = []
    for _ in range(31):
        deep = [deep]
    decoder = PageDecoder()
    for value, accepted in ((1, True), (deep[0], True), (deep, False)):
        assert isinstance(result(decoder, body_with(value)), tuple) is accepted


@pytest.mark.parametrize("digest", [5, None, ["aa"]], ids=repr)
def test_learned_hash_that_is_not_text_is_refused(digest: object) -> None:
    def body_with(md5: object) -> bytes:
        return body_of(page(entry(hashes={"md5": md5, "sha256": sha256_of("a").hex()})))

    decoder = PageDecoder()
    assert isinstance(result(decoder, body_with("aa")), tuple)
    assert isinstance(result(decoder, body_with(digest)), str)


def test_a_page_without_the_learned_keys_has_none_of_them() -> None:
    parsed = shape_after(page(entry(zebra=1), zebra=1)).parse(body_of(page(entry())))
    assert parsed.extra == {}
    assert [extra for _, _, extra in parsed.entries] == [{}]


def test_a_null_in_a_learned_key_is_kept() -> None:
    parsed = shape_after(page(zebra=1)).parse(body_of(page(zebra=None)))
    assert parsed.extra == {"zebra": None}


def test_page_with_known_keys_keeps_the_shape() -> None:
    shape = shape_after(page(zebra=1))
    assert shape.learn(decoded(page(entry(gpg_sig=True), zebra=2))) is shape


@pytest.mark.parametrize("key", ["", "a b", "ö", "x" * 65, 'a"b', "a\n"])
def test_key_that_is_not_a_plain_name_is_not_learned(key: str) -> None:
    shape = shape_after(page(entry() | {key: 1}) | {"zebra": 1})
    assert shape.keys == Keys(page=("zebra",))


def test_hostile_keys_cause_at_most_64_shapes() -> None:
    shape, shapes = KNOWN_SHAPE, 0
    for number in range(100):
        hashes = {"sha256": sha256_of("a").hex(), f"h{number}": ""}
        meta = {"api-version": "1.4", f"m{number}": 1}
        for raw in (
            page(entry() | {f"f{number}": 1}),
            page(**{f"p{number}": 1}),
            page(entry(hashes=hashes)),
            page(meta=meta),
        ):
            grown = shape.learn(decoded(raw))
            shapes += grown is not shape
            shape = grown
    assert shapes == 64
    assert [len(level) for level in shape.keys] == [16, 16, 16, 16]


def test_none_of_17_unknown_keys_is_learned() -> None:
    assert shape_after(page(**{f"key{number}": 1 for number in range(17)})).keys == Keys()


def test_a_replaced_shape_is_freed() -> None:
    shape = shape_after(page(entry(zebra=1)))
    (file, *_), *_ = shape.parse(body_of(page(entry(zebra=1)))).entries
    freed = weakref.ref(type(file))
    shape = shape.learn(decoded(page(entry(yak=1))))
    del file
    gc.collect()
    assert freed() is None
    assert shape.keys.file == ("yak", "zebra")


def test_threads_that_learn_at_once_lose_no_key() -> None:
    decoder = PageDecoder()
    bodies = [body_of(page(entry() | {f"key{number}": number})) for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda body: result(decoder, body), bodies))
    assert decoder.shape.keys.file == tuple(sorted(f"key{number}" for number in range(16)))
