"""Paths and links."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, is_segment
from mirrorsync.simple import layout
from tests.unit.simple.pages import NAME, dist_file

PLACE = bytes.fromhex("aabb" + "cd" * 30)
SEGMENTS = st.text(st.characters(exclude_categories=["Cs"])).filter(is_segment)


def test_pages_have_the_paths_that_web_servers_expect() -> None:
    assert layout.project_directory(NAME) == "simple/holy-grail"
    page, root = layout.page_paths(NAME), layout.root_paths()
    assert page.json == "simple/holy-grail/index.v1_json"
    assert page.html == "simple/holy-grail/index.v1_html"
    assert page.index_html == "simple/holy-grail/index.html"
    assert root.json == "simple/index.v1_json"
    assert root.html == "simple/index.v1_html"
    assert root.index_html == "simple/index.html"


def test_files_have_pypis_paths() -> None:
    assert layout.file_path(PLACE, "a b.zip") == f"packages/aa/bb/{'cd' * 30}/a b.zip"
    assert layout.sidecar_path(PLACE, "a.whl") == f"packages/aa/bb/{'cd' * 30}/a.whl.metadata"


@given(st.binary(min_size=32, max_size=32), SEGMENTS)
def test_a_path_parses_to_its_place_and_name(place: bytes, filename: str) -> None:
    assert layout.parse_file_path(layout.file_path(place, filename)) == (place, filename)


@pytest.mark.parametrize("filename", ["", ".", "..", "a/b", "a\\b", "\x00", "x" * 256])
def test_no_filename_leaves_its_directory(filename: str) -> None:
    with pytest.raises(Malformed):
        layout.file_path(PLACE, filename)


@pytest.mark.parametrize("place", [b"", b"x" * 31, b"x" * 33])
def test_a_place_has_32_bytes(place: bytes) -> None:
    with pytest.raises(Malformed, match="bytes"):
        layout.file_path(place, "a.zip")


def test_an_unchecked_project_name_gives_no_path() -> None:
    with pytest.raises(Malformed):
        layout.page_paths(ProjectName(".."))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "simple/a/index.html",
        f"packages/aa/bb/{'cd' * 30}",
        f"packages/aa/bb/{'cd' * 30}/",
        f"packages/aa/bb/{'cd' * 30}/..",
        f"packages/aa/bb/{'cd' * 30}/a/b",
        f"packages/AA/bb/{'cd' * 30}/a",
        f"packages/aa/bb/{'cd' * 29}/a",
        f"/packages/aa/bb/{'cd' * 30}/a",
        f"packages/aa/bb/{'cd' * 30}/a\\b",
    ],
)
def test_other_paths_are_not_parsed_as_file_paths(path: str) -> None:
    with pytest.raises(Malformed, match="not the path of a file"):
        layout.parse_file_path(path)


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("plain_1.0-py3-none-any.whl", "plain_1.0-py3-none-any.whl"),
        ("a b.zip", "a%20b.zip"),
        ("a+b!c(d)'e~$*,;=:@&.zip", "a+b!c(d)'e~$*,;=:@&.zip"),
        ("a#b?c%d[e].zip", "a%23b%3Fc%25d%5Be%5D.zip"),
        ('a"<>^`{|}.zip', "a%22%3C%3E%5E%60%7B%7C%7D.zip"),
        ("ö\x01.zip", "%C3%B6%01.zip"),
    ],
)
def test_names_are_quoted_as_pypi_quotes_them(filename: str, quoted: str) -> None:
    assert layout.quote_segment(filename) == quoted


def test_links_lead_from_the_page_to_the_file() -> None:
    file = dist_file("a b.zip", place=PLACE)
    assert layout.relative_link(file) == f"../../packages/aa/bb/{'cd' * 30}/a%20b.zip"
    for root_url in ("https://mirror.test/pypi", "https://mirror.test/pypi/"):
        assert layout.absolute_link(root_url, file) == (
            f"https://mirror.test/pypi/packages/aa/bb/{'cd' * 30}/a%20b.zip"
        )


@pytest.mark.parametrize(("length", "fits"), [(246, True), (247, False), (249, False)])
def test_a_sidecars_name_has_at_most_255_bytes(length: int, fits: bool) -> None:  # noqa: FBT001 -- the value is the case
    assert layout.has_storable_sidecar("x" * length) is fits
    assert layout.has_storable_sidecar("ö" * (length // 2) + "x" * (length % 2)) is fits
