"""Names, URLs and redirects to another path, host or scheme."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.hostile.siege import Siege, digest_of, entry_of, page_of, place_in
from tests.support.pypi.faults import Fault, Redirect
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_PLACE: Final = f"packages/{digest_of('x')[:2]}/{digest_of('x')[2:4]}/{digest_of('x')[4:]}"
_NAMES: Final[tuple[str, ...]] = (
    "../../../../bystander/secret",
    "..",
    ".",
    "",
    "/etc/passwd",
    "..\\..\\bystander\\secret",
    "C:\\windows\\win.ini",
    "a\x00.whl",
    "a\n.whl",
    "a\r\nX-Evil: 1.whl",
    "a\t.whl",
    "a/b.whl",
    "a" * 256,
    "é" * 128,
    "x-1.0-py3-none-any.whl.metadata",
    "x-1.0-py3-none-any.whl.METADATA",
    ".metadata",
)
"""File names that cannot be stored, or that belong to another object."""
_SEGMENTS: Final[tuple[tuple[str, str], ...]] = (
    ("a.whl", "%2e%2e%2fa.whl"),
    ("a.whl", "..%2Fa.whl"),
    ("a.whl", "%252e%252e%252fa.whl"),
    ("a.whl", "a.whl/.."),
    ("a.whl", "a.whl/%2e%2e/b.whl"),
    ("a.whl", "a%2ewhl%00"),
    ("a.whl", "b.whl"),
    ("a.whl", "A.whl"),
    ("a.whl", "a%C0%AEwhl"),
    ("a.whl", "a.whl\\..\\b"),
    ("..", "%2e%2e"),
    ("../b", "..%2fb"),
    ("..", ".."),
)
"""(file name, last segments of its URL) that differ, or that are harmful."""


def _hosts(pypi: PyPI, trap: PyPI) -> dict[str, str]:
    """URLs that must not be requested; each would reach a server."""
    port, elsewhere = pypi.url.rpartition(":")[2], trap.url.removeprefix("http://")
    return {
        "another port": f"{trap.url}/a.whl",
        "the same address by name": f"http://localhost:{port}/a.whl",
        "the same address as a number": f"http://2130706433:{port}/a.whl",
        "the same address in hex": f"http://0x7f.0.0.1:{port}/a.whl",
        "the same address in short": f"http://127.1:{port}/a.whl",
        "a private address": "http://10.0.0.1/a.whl",
        "a cloud's metadata": "http://169.254.169.254/latest/a.whl",
        "IPv6 loopback": f"http://[::1]:{port}/a.whl",
        "IPv4 in IPv6": f"http://[::ffff:127.0.0.1]:{port}/a.whl",
        "credentials": f"http://user:secret@127.0.0.1:{port}/a.whl",
        "the host as credentials": f"http://127.0.0.1:{port}@{elsewhere}/a.whl",
        "a backslash before the host": f"http://{elsewhere}\\@127.0.0.1:{port}/a.whl",
        "no port": "http://127.0.0.1/a.whl",
        "port 0": "http://127.0.0.1:0/a.whl",
        "a port beyond": "http://127.0.0.1:99999/a.whl",
        "a file": "file:///etc/a.whl",
        "a file with a host": f"file://127.0.0.1:{port}/a.whl",
        "ftp": f"ftp://127.0.0.1:{port}/a.whl",
        "data": "data:,a.whl",
        "script": "javascript:alert(1)//a.whl",
        "a bracket": "http://[/a.whl",
        "two slashes": f"//{elsewhere}/a.whl",
        "a look-alike dot": f"http://127。0。0。2:{port}/a.whl",
        "a look-alike slash": f"http://127.0.0.1:{port}\uff0f..\uff0fa.whl",
        "blanks": f" http://{elsewhere}/a.whl",
        "a tab in the scheme": f"ht\ttp://{elsewhere}/a.whl",
    }


@pytest.fixture
def trap() -> Iterator[PyPI]:
    """Another server on loopback, which must receive no request."""
    with PyPI(World()) as serving:
        yield serving


async def test_file_name_with_a_path_is_refused_and_touches_nothing(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    victims = {f"name-{number}": name for number, name in enumerate(_NAMES)}
    for victim, name in victims.items():
        url = f"{pypi.files_url}/{_PLACE}/{quote(name, safe='')}"
        place_in(pypi, victim, page_of(victim, entry_of(pypi, file, filename=name, url=url)))
    await siege.sync()
    assert siege.refusal_problems(*victims) == []
    siege.heal()
    await siege.sync()
    assert siege.problems() == []


async def test_file_name_that_differs_from_its_url_is_refused(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    victims = {f"segment-{number}": pair for number, pair in enumerate(_SEGMENTS)}
    for victim, (name, segment) in victims.items():
        entry = entry_of(pypi, file, filename=name, url=f"{pypi.files_url}/{_PLACE}/{segment}")
        place_in(pypi, victim, page_of(victim, entry))
    await siege.sync()
    assert siege.refusal_problems(*victims) == []
    assert not [request for request in pypi.requests if digest_of("x")[4:] in request.path]


async def test_look_alike_name_is_a_separate_file_inside_the_tree(siege: Siege, pypi: PyPI) -> None:
    names = [
        "\uff0e\uff0e\uff0fa.zip",
        "‥.zip",
        "a\u202egnp.zip",
        "a\u2215b.zip",
        "-rf.zip",
        "~root.zip",
        "%2e%2e%2f.zip",
        "<a>.zip",
    ]
    for number, name in enumerate(names):
        pypi.world.upload(f"look-{number}", "1.0", filename=name, content=name.encode())
    await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    assert set(names) <= siege.stored()


async def test_project_name_with_a_path_is_never_requested(siege: Siege, pypi: PyPI) -> None:
    names = [
        "..",
        "../../bystander",
        "/etc/passwd",
        "a/b",
        "a\\b",
        ".",
        "a%2fb",
        "\u212a",
        "\uff41",
        "a" * 300,
        "a\r\nb",
        "<script>",
    ]
    for name in names:
        pypi.world.journal_row(name, "add py3 file x.whl", "1.0")
    await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    asked = {request.path for request in pypi.requests if request.path.startswith("/simple/")}
    assert asked <= {"/simple/", *(f"/simple/{name}/" for name in ("alpha", "omega"))}


async def test_file_on_another_host_is_never_requested(siege: Siege, pypi: PyPI, trap: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    victims = {f"host-{number}": url for number, url in enumerate(_hosts(pypi, trap).values())}
    for victim, url in victims.items():
        place_in(pypi, victim, page_of(victim, entry_of(pypi, file, filename="a.whl", url=url)))
    await siege.sync()
    assert siege.refusal_problems(*victims) == []
    assert trap.requests == []
    assert not pypi.seen(r"a\.whl|Evil")


async def test_a_line_break_in_a_url_adds_no_header_to_a_request(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    for number, text in enumerate(("\r\nX-Evil: 1/", "%0d%0aX-Evil:%201/", "\tX-Evil: 1/", "\x85X-Evil: 1/")):
        url = f"{pypi.files_url}/{text}a.whl"
        place_in(pypi, f"break-{number}", page_of(f"break-{number}", entry_of(pypi, file, filename="a.whl", url=url)))
    await siege.sync()
    assert siege.refusal_problems(*(f"break-{number}" for number in range(4))) == []
    assert not [request for request in pypi.requests if "x-evil" in request.headers]


@pytest.mark.parametrize("where", ["page", "file", "sidecar"])
async def test_redirect_to_another_host_is_never_followed(tmp_path: Path, pypi: PyPI, trap: PyPI, where: str) -> None:
    siege = Siege(tmp_path / "around", pypi)
    stays = {"a look-alike slash"}  # a path on the same host
    urls = [url for kind, url in _hosts(pypi, trap).items() if kind not in stays]
    victims: dict[str, Fault] = {f"to-{number}": Redirect(url) for number, url in enumerate(urls)}
    if where != "sidecar":  # a missing one delays nothing
        victims |= {"to-other": Redirect("/simple/alpha/"), "to-far": Redirect("/" + "x" * 60_000)}
    for victim, fault in victims.items():
        place_in(pypi, victim, fault, where=where)
    await siege.sync()
    assert siege.refusal_problems(*victims) == []
    assert trap.requests == []
    assert not pypi.seen(r"a\.whl|Evil")
    siege.heal()
    await siege.sync()
    assert siege.problems() == []
