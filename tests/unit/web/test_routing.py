import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirrorsync.model.identity import is_segment, store_path
from mirrorsync.web.routing import File, NotFound, Page, Redirect, Root, route

PLACE = b"packages/aa/bb/" + b"0" * 60


@pytest.mark.parametrize(
    ("path", "location"),
    [
        (b"/simple", "/simple/"),
        (b"/simple/foo", "/simple/foo/"),
        (b"/simple/Foo_Bar", "/simple/foo-bar/"),
        (b"/simple/Foo_Bar/", "/simple/foo-bar/"),
        (b"/simple/foo--bar._baz/", "/simple/foo-bar-baz/"),
        (b"/simple/Foo%5FBar/", "/simple/foo-bar/"),
        (b"/simple/index.foo", "/simple/index-foo/"),
        (b"/simple/index.html/", "/simple/index-html/"),
        (b"/pypi/Foo_Bar/json", "/pypi/foo-bar/json"),
        (b"/mirrorsync", "/mirrorsync/"),
    ],
)
def test_other_spellings_redirect_to_the_canonical_address(path: bytes, location: str) -> None:
    assert route(path) == Redirect(location)


def test_the_index_and_its_projects_are_pages() -> None:
    assert route(b"/simple/") == Page(store_path("simple"))
    assert route(b"/simple/foo-bar/") == Page(store_path("simple", "foo-bar"))
    assert route(b"/") == Root()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/simple/index.v1_json", "simple/index.v1_json"),
        (b"/simple/foo/index.html", "simple/foo/index.html"),
        (b"/" + PLACE + b"/a%20b%2Bc+d.whl", PLACE.decode() + "/a b+c+d.whl"),
        (b"/" + PLACE + b"/%C3%A9%2525.zip", PLACE.decode() + "/é%25.zip"),
        (b"/pypi/foo-bar/json", "pypi/foo-bar/json"),
        (b"/last-modified", "last-modified"),
        (b"/mirrorsync/status.json", "mirrorsync/status.json"),
        (b"/mirrorsync/", "mirrorsync/index.html"),
    ],
)
def test_a_path_is_decoded_once(path: bytes, expected: str) -> None:
    assert route(path) == File(store_path(*expected.split("/")))


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"//",
        b"//simple/",
        b"/simple//",
        b"/simple//foo/",
        b"/simple/../simple/",
        b"/simple/%2e%2e/",
        b"/simple/%2e%2e/x",
        b"/simple/..%2f..%2fetc%2fpasswd",
        b"/..%5c..%5cetc",
        b"/simple/foo%00/",
        b"/last-modified%00.html",
        b"/simple/-foo/",
        b"/simple/foo%20bar/",
        b"/simple/%ff/",
        b"/packages/",
        b"/packages/aa/",
        b"/packages/aa/bb",
        b"/simple/foo/bar/",
        b"/last-modified/",
        b"/" + b"a" * 256,
    ],
)
def test_a_path_that_no_object_can_have_is_not_found(path: bytes) -> None:
    assert route(path) == NotFound()


@given(
    st.binary()
    | st.lists(st.sampled_from([b"/", b"..", b"%2e", b"%2f", b"%5c", b"simple", b"a", b"%00"])).map(b"".join)
)
def test_no_path_leaves_the_tree_and_no_redirect_leaves_the_host(tail: bytes) -> None:
    match route(b"/" + tail):
        case File(path=path) | Page(directory=path):
            assert all(is_segment(segment) for segment in path.split("/"))
        case Redirect(location=location):
            assert location.isascii()
            assert location.startswith(("/simple/", "/pypi/", "/mirrorsync/"))
