import pytest

from mirrorsync.model.identity import Serial, project_name, store_path
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.simple.encode import encode_page
from mirrorsync.simple.layout import relative_link
from mirrorsync.web.headers import find_serial, serial_excerpts

FORGERY = '","meta":{"_last-serial":666,"api-version":"1.4"},"x":"<!--SERIAL 666-->'


def found(filename: str, content: bytes) -> int | None:
    for excerpt in serial_excerpts(store_path("simple", "foo", filename)):
        part = content[excerpt.offset :][: excerpt.length]
        serial = find_serial(excerpt, part)
        if serial is not None:
            return serial
    return None


def page(*, serial: int | None, versions: int = 1) -> ProjectPage:
    file = DistFile(filename="foo-1.zip", place=bytes(32), url="", size=1, hashes=Hashes(bytes(32)), yanked=FORGERY)
    return ProjectPage(
        name=project_name("foo"),
        serial=None if serial is None else Serial(serial),
        versions=tuple(f"1.0.dev{number}" for number in range(versions)),
        files=(file,),
    )


@pytest.mark.parametrize("serial", [0, 7, 2**31])
@pytest.mark.parametrize("versions", [1, 400, 15_000])
def test_the_serial_of_a_page_is_found_and_no_uploader_can_forge_it(serial: int, versions: int) -> None:
    written = page(serial=serial, versions=versions)
    assert found("index.v1_json", encode_page(written, relative_link).json) == serial
    assert found("index.html", encode_page(written, relative_link).html) == serial
    assert found("index.v1_html", encode_page(written, relative_link).html) == serial


def test_a_page_without_a_serial_has_none() -> None:
    written = page(serial=None)
    assert found("index.v1_json", encode_page(written, relative_link).json) is None
    assert found("index.html", encode_page(written, relative_link).html) is None


def test_the_serial_of_the_root_list_is_not_that_of_a_project() -> None:
    (excerpt,) = serial_excerpts(store_path("simple", "index.html"))
    assert excerpt.sibling == "index.v1_json"
    head = b'{"meta":{"_last-serial":9,"api-version":"1.4"},"projects":[{"_last-serial":3,"name":"a"}'
    assert find_serial(excerpt, head) == 9
