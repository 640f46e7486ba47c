"""Pages that decoding refuses (invariant I8); it fails in no other way."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import is_segment
from mirrorsync.model.page import ProjectPage
from mirrorsync.simple import layout
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.simple.encode import encode_page
from tests.unit.simple.pages import NAME, PAGE_URL, body_of, decoded, entry, page, sha256_of, url_of


def refusal(body: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        PageDecoder().decode(body, requested=NAME, page_url=PAGE_URL)
    assert str(NAME) in caught.value.what
    assert caught.value.hint
    return caught.value.why


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html>",
        b'{"files":[',
        b"\xef\xbb\xbf{}",
        b'{"name":"\xff"}',
        b'{"name":"\\ud800"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"\\udc00":1}',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        body_of(page(entry()))[:-10],
    ],
)
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    assert "not JSON" in refusal(body)


@pytest.mark.parametrize("where", ["filename", "requires-python", "url", "upload-time", "yanked", "zebra"])
@pytest.mark.parametrize("surrogate", [b"\\ud800", b"\\udfff", b"\xed\xa0\x80"])
def test_a_lone_surrogate_is_refused_in_every_key(where: str, surrogate: bytes) -> None:
    body = body_of(page(entry() | {where: "SURROGATE"})).replace(b"SURROGATE", surrogate)
    refusal(body)


@pytest.mark.parametrize("value", [1, "x", [], None, [{}]])
def test_a_page_is_an_object(value: object) -> None:
    assert "not a JSON object" in refusal(body_of(value))


@pytest.mark.parametrize("depth", [33, 500, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for body in (deep, body_of(page(zebra=1)).replace(b'"zebra":1', b'"zebra":' + deep)):
        refusal(body)


def test_nesting_of_31_levels_is_kept() -> None:
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]
    assert decoded(page(zebra=deep)).extra == {"zebra": deep}


def test_too_many_values_are_refused_before_decoding() -> None:
    assert "the limit is 2,000,000" in refusal(b'{"versions":[' + b"[]," * 1_100_000 + b"[]]}")


@pytest.mark.parametrize("key", ["files", "meta", "name"])
def test_a_missing_key_is_refused(key: str) -> None:
    raw = page(entry())
    del raw[key]
    assert f"`{key}`" in refusal(body_of(raw))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("files", None, "`files`"),
        ("files", {}, "`files`"),
        ("files", [None], "entry 0"),
        ("files", [{"filename": 1}], "entry 0"),
        ("meta", {}, "api-version"),
        ("meta", {"api-version": 1.4}, "api-version"),
        ("meta", {"api-version": "2.0"}, "reads 1.x"),
        ("meta", {"api-version": "0.9"}, "reads 1.x"),
        ("meta", {"api-version": "1.4", "_last-serial": -1}, "not a serial"),
        ("meta", {"api-version": "1.4", "_last-serial": "1e3"}, "not a serial"),
        ("meta", {"api-version": "1.4", "_last-serial": "٣"}, "not a serial"),
        ("meta", {"api-version": "1.4", "_last-serial": 2**63}, "not a serial"),
        ("meta", {"api-version": "1.4", "_last-serial": True}, "_last-serial"),
        ("name", "holy-grail-2", "page of 'holy-grail-2'"),
        ("name", "../etc", "not a project name"),
        ("name", None, "name"),
        ("project-status", "quarantined", "project-status"),
        ("project-status", {"status": ["quarantined"]}, "status"),
        ("versions", [1], "versions"),
        ("versions", "1.0", "versions"),
    ],
)
def test_an_invalid_page_is_refused(key: str, value: object, why: str) -> None:
    assert why in refusal(body_of(page() | {key: value}))


def test_another_major_version_is_refused_in_any_shape() -> None:
    assert "reads 1.x" in refusal(body_of({"meta": {"api-version": "2.0"}, "data": []}))


@pytest.mark.parametrize("beside", [{}, {"zebra": 1}], ids=["usual", "tolerant"])
@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"hashes": {}}, "cannot verify"),
        ({"hashes": {"md5": "aa"}}, "cannot verify"),
        ({"hashes": {"sha256": "ab" * 31}}, "cannot verify"),
        ({"hashes": {"sha256": " " * 4 + "ab" * 30}}, "cannot verify"),
        ({"hashes": {"sha256": "zz" * 32}}, "cannot verify"),
        ({"hashes": None}, "hashes"),
        ({"hashes": {"sha256": "ab" * 32, "md5": 5}}, "not text"),
        ({"hashes": {"sha256": "ab" * 32} | {f"h{n}": "" for n in range(17)}}, "17 hashes"),
        ({"size": -1}, "size"),
        ({"size": 2**40 + 1}, "size"),
        ({"size": True}, "size"),
        ({"size": "1000"}, "size"),
        ({"yanked": 1}, "yanked"),
        ({"requires-python": [">=3"]}, "requires-python"),
        ({"upload-time": 5}, "upload-time"),
        ({"url": None}, "url"),
        ({"url": url_of("b.zip")}, "names another file"),
        ({"url": "https://files.test/"}, "names another file"),
        ({"url": ""}, "names another file"),
        ({"url": "javascript:alert(1)//a.zip"}, "not an http or https URL"),
        ({"url": "file:///etc/a.zip"}, "not an http or https URL"),
        ({"url": "https://user:secret@files.test/a.zip"}, "not an http or https URL"),
        ({"url": "https://files.test:port/a.zip"}, "not an http or https URL"),
        ({"url": "https://files.test/" + "x/" * 5000 + "a.zip"}, "not an http or https URL"),
        ({"url": "https://files.test\\@evil.test/a.zip"}, "not an http or https URL"),
        ({"url": "https://[/a.zip"}, "not a URL"),
        ({"url": "https://files.test/%FFa.zip"}, "names another file"),
        ({"url": "https://files.test/a%2Ezip%00"}, "names another file"),
    ],
    ids=repr,
)
def test_a_harmful_file_is_refused_with_its_name(keys: dict[str, Any], why: str, beside: dict[str, Any]) -> None:
    refused = refusal(body_of(page(entry("a.zip") | keys | beside)))
    assert why in refused
    assert "'a.zip'" in refused


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("..", ".."),
        ("..", "%2E%2E"),
        (".", "."),
        ("", ""),
        ("../../etc/passwd", "..%2F..%2Fetc%2Fpasswd"),
        ("a\\b.zip", "a%5Cb.zip"),
        ("a\x00.zip", "a%00.zip"),
        ("a\n.zip", "a%0A.zip"),
        ("a\r.zip", "a%0D.zip"),
        ("a\t.zip", "a%09.zip"),
        ("x" * 256, "x" * 256),
        ("ö" * 128, "%C3%B6" * 128),
        ("a.whl.metadata", "a.whl.metadata"),
        ("a.whl.METADATA", "a.whl.METADATA"),
    ],
)
def test_name_that_is_not_a_path_segment_is_refused(filename: str, quoted: str) -> None:
    raw = entry(filename, url=url_of("any").removesuffix("any") + quoted)
    assert "file " in refusal(body_of(page(raw)))


def test_filename_that_is_not_utf_8_is_refused() -> None:
    raw = entry("\ufffd.zip", url=url_of("\ufffd.zip", "%FF.zip"))
    assert "names another file" in refusal(body_of(page(raw)))


def test_a_name_in_a_url_is_unquoted_once() -> None:
    raw = entry("a b.zip", url=url_of("a b.zip", "a%2520b.zip"))
    assert "names another file" in refusal(body_of(page(raw)))


@pytest.mark.parametrize(
    "keys",
    [
        {"hashes": {"sha256": sha256_of("other").hex()}},
        {"size": 999},
        {"yanked": True},
        {"core-metadata": {"sha256": sha256_of("other").hex()}},
    ],
    ids=repr,
)
def test_two_contradicting_entries_of_one_place_are_refused(keys: dict[str, Any]) -> None:
    assert "contradict" in refusal(body_of(page(entry("a.zip"), entry("a.zip") | keys)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["a.zip", "b c.whl", "ö.exe", "a.whl.metadata", "..", "<script>'\"&.zip"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=12
)
PLACES = st.sampled_from(["", "../../packages/", f"https://h.test/packages/aa/bb/{'c' * 60}/", "https://h.test/"])


@st.composite
def near_pages(draw: st.DrawFn) -> dict[str, Any]:
    """Pages of the right shape, with up to two arbitrary values."""
    names = draw(st.lists(NAMES, max_size=3))
    raw = page(*(entry(name, url=draw(PLACES) + layout.quote_segment(name)) for name in names))
    for target in draw(st.lists(st.sampled_from([raw, raw["meta"], *raw["files"]]), max_size=2)):
        target[draw(st.sampled_from([*target]) | st.text(max_size=4))] = draw(JSON)
    return raw


def decode_or_refuse(body: bytes) -> ProjectPage | Malformed:
    try:
        return PageDecoder().decode(body, requested=NAME, page_url=PAGE_URL)
    except Malformed as refused:
        return refused


@given(st.binary())
@example(b"9" * 4299)
@example(b'{"meta":{"api-version":"1.4","_last-serial":' + b"9" * 4300 + b'},"name":"holy-grail","files":[]}')
@settings(deadline=None)
def test_any_bytes_are_decoded_or_refused(body: bytes) -> None:
    decode_or_refuse(body)


@given(JSON)
@settings(deadline=None)
def test_any_json_is_decoded_or_refused(value: object) -> None:
    decode_or_refuse(body_of(value))


@given(near_pages())
@settings(deadline=None, max_examples=400)
def test_every_accepted_page_can_be_stored_and_written(raw: dict[str, Any]) -> None:
    got = decode_or_refuse(body_of(raw))
    if isinstance(got, Malformed):
        return
    for file in got.files:
        assert is_segment(file.filename)
        assert layout.parse_file_path(layout.file_path(file.place, file.filename)) == (file.place, file.filename)
    written = encode_page(got, layout.relative_link).json
    again = PageDecoder().decode(written, requested=NAME, page_url=PAGE_URL)
    assert encode_page(again, layout.relative_link).json == written
    html = encode_page(got, layout.relative_link).html
    assert html.count(b"<a ") == html.count(b"</a>") == len(got.files)
    assert b"<script" not in html
