"""Pages as JSON, in PyPI's wire form."""

import json

import msgspec
import pytest

from mirrorsync.model.identity import Serial
from mirrorsync.model.page import Hashes, ProjectPage
from mirrorsync.simple import layout
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.simple.encode import encode_page
from tests.unit.simple.pages import (
    NAME,
    PAGE_URL,
    body_of,
    decoded,
    dist_file,
    entry,
    page,
    sha256_of,
    upstream_link,
)

SIDECAR = {"sha256": sha256_of("METADATA").hex()}
USUAL_FILE = (
    '{"core-metadata":false,"data-dist-info-metadata":false,"filename":"ö-1.zip","hashes":{"sha256":"HEX"},'
    '"provenance":null,"requires-python":null,"size":10,"upload-time":"2010-05-05T05:05:05Z",'
    '"url":"https://files.index.test/%C3%B6-1.zip","yanked":"\\"no\\" & <b>\\u0001"}'
)
USUAL_PAGE = (
    '{"files":[FILE],"meta":{"_last-serial":7,"api-version":"1.4"},"name":"holy-grail",'
    '"project-status":{"status":"active"},"versions":["1","1.0-r2"]}\n'
)


def test_an_upstream_page_is_written_with_the_same_bytes() -> None:
    body = USUAL_PAGE.replace("FILE", USUAL_FILE).replace("HEX", "ab" * 32).encode()
    got = PageDecoder().decode(body, requested=NAME, page_url=PAGE_URL)
    assert encode_page(got, upstream_link).json == body


@pytest.mark.parametrize(
    "raw",
    [
        page(),
        page(entry(), entry("b.whl", core_metadata=SIDECAR, data_dist_info_metadata=SIDECAR, yanked=True)),
        page(entry(yanked="it's", provenance="https://index.test/integrity/x", requires_python=">=3,<4")),
        page(alternate_locations=[], zebra={"b": 1, "a": [{"d": None, "c": 2.5}]}),
        page(entry(namespace="x"), meta={"_last-serial": 0, "_tracking": ["https://x.test"], "api-version": "1.4"}),
        page(entry(hashes={"md5": "aa", "sha256": "ab" * 32})),
        page(project_status={"reason": "see elsewhere", "status": "deprecated"}),
    ],
)
def test_every_form_of_page_is_written_with_the_same_bytes(raw: object) -> None:
    assert encode_page(decoded(raw), upstream_link).json == body_of(raw)


def test_links_lead_to_the_mirror() -> None:
    file = dist_file("a b.zip")
    written = json.loads(encode_page(ProjectPage(NAME, None, files=(file,)), layout.relative_link).json)
    assert written["files"][0]["url"] == "../../" + layout.file_path(file.place, "a%20b.zip")


def test_api_version_does_not_depend_on_upstream() -> None:
    written = json.loads(encode_page(decoded(page(meta={"api-version": "1.0"})), upstream_link).json)
    assert written["meta"] == {"api-version": "1.4"}


def test_every_key_of_pypi_is_always_written() -> None:
    bare = {"filename": "a.zip", "url": "a.zip", "hashes": {"sha256": "ab" * 32}}
    got = decoded({"meta": {"api-version": "1.0"}, "name": "holy-grail", "files": [bare]})
    written = json.loads(encode_page(got, upstream_link).json)
    assert written["files"][0].keys() == entry().keys()
    assert written.keys() == page().keys()


def test_unknown_keys_never_override_known_ones() -> None:
    extra = {"url": "https://evil.test", "hashes": {}, "yanked": True, "zebra": 1}
    file = dist_file(extra=extra, hashes=Hashes(b"\xab" * 32, (("sha256", "00"),)))
    meta_extra = {"api-version": "9", "_last-serial": 9, "zebra": 2}
    project_page = ProjectPage(NAME, None, files=(file,), extra={"files": [], "name": "x"}, meta_extra=meta_extra)
    written = json.loads(encode_page(project_page, upstream_link).json)
    assert written["meta"] == {"api-version": "1.4", "zebra": 2}
    assert written["name"] == NAME
    (got,) = written["files"]
    assert (got["url"], got["hashes"]["sha256"], got["yanked"], got["zebra"]) == (file.url, "ab" * 32, False, 1)


def test_a_new_serial_changes_the_bytes_but_not_the_digest() -> None:
    before = ProjectPage(NAME, Serial(7), files=(dist_file(),), etag='"a"')
    after = msgspec.structs.replace(before, serial=Serial(9), etag='"b"')
    assert encode_page(before, upstream_link).content_digest == encode_page(after, upstream_link).content_digest
    assert encode_page(before, upstream_link).json != encode_page(after, upstream_link).json


@pytest.mark.parametrize(
    "changed", [{"status": "archived"}, {"files": ()}, {"versions": ("1",)}, {"extra": {"a": 1}}], ids=repr
)
def test_any_other_change_changes_the_digest(changed: dict[str, object]) -> None:
    before = ProjectPage(NAME, Serial(7), files=(dist_file(),))
    after = msgspec.structs.replace(before, **changed)
    assert encode_page(before, upstream_link).content_digest != encode_page(after, upstream_link).content_digest
    assert encode_page(before, upstream_link).content_digest != encode_page(before, layout.relative_link).content_digest
