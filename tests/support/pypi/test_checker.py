import itertools
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pypi import wire
from tests.support.pypi.checker import check_links, check_tree
from tests.support.pypi.values import Page, Shape
from tests.support.pypi.world import World

ORIGIN = wire.Origin("http://index.test", "", Shape(relative_urls=True))


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # On the tree's own file system and outside of it, as a mirror's staging is.
    temporary = next(one for one in path.parents if one.name.startswith("pytest-")) / f"tmp-{uuid.uuid4()}"
    temporary.write_bytes(body)
    temporary.replace(path)


def _publish(web: Path, page: Page) -> None:
    folder = web / "simple" / page.name
    _write(folder / "index.v1_json", wire.detail_json(page, ORIGIN))
    for name in ("index.html", "index.v1_html"):
        _write(folder / name, wire.detail_html(page, ORIGIN))


def _mirror(world: World, web: Path) -> None:
    expected = world.expected()
    for page in expected.pages.values():
        _publish(web, page)
        for file in page.files:
            _write(web / file.path, file.content)
            if file.metadata is not None:
                _write(web / f"{file.path}.metadata", file.metadata)
    _write(web / "simple/index.v1_json", wire.root_json(expected.root, expected.serial, ORIGIN.shape))
    for name in ("index.html", "index.v1_html"):
        _write(web / "simple" / name, wire.root_html(expected.root, ORIGIN.shape))
    _write(web / "last-modified", b"20250101T00:00:00\n")
    _write(web / "mirrorsync/status.json", b"{}")


@pytest.fixture
def web(world: World, tmp_path: Path) -> Path:
    world.upload("Holy_Grail", "1.0", requires_python=">=3.6,<4", provenance=True)
    world.yank("holy-grail", "1.0", 'it\'s "bad" & <worse>')
    world.upload("Holy_Grail", "2.0", kind="sdist")
    world.upload("odd", "1", filename="Ödd #1?+&'x'%20[1].zip", content=b"odd")
    world.create("empty")
    world.upload("bad", "1")
    world.quarantine("bad")
    world.archive("odd")
    _mirror(world, tmp_path)
    return tmp_path


def test_a_true_mirror_has_no_problems(world: World, web: Path) -> None:
    assert check_tree(web, world) == []


def _path(web: Path, pattern: str) -> Path:
    return next(path for path in sorted(web.rglob(pattern)) if path.is_file())


def _spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def _spoil_html(web: Path, old: str, new: str) -> None:
    for name in ("index.html", "index.v1_html"):
        _spoil(web / "simple/holy-grail" / name, old, new)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda web: _path(web, "*.whl").unlink(), "named and is not there"),
        (lambda web: _path(web, "*.whl").write_bytes(b"x"), "another digest"),
        (lambda web: _path(web, "*.metadata").unlink(), "named and is not there"),
        (lambda web: _path(web, "*.metadata").write_bytes(b"x"), "another digest"),
        (lambda web: (web / "simple/empty/index.v1_html").unlink(), "without index.v1_html"),
        (lambda web: _write(web / "simple/empty/index.html", b"x"), "differ"),
        (lambda web: _write(web / "simple/empty/index.v1_json", b'{"x'), "no project page in JSON"),
        (lambda web: _spoil(web / "simple/odd/index.v1_json", "archived", "active"), "status active"),
        (lambda web: _spoil(web / "simple/holy-grail/index.v1_json", ">=3.6,<4", ">=3.7"), "requires-python"),
        (lambda web: _spoil(web / "simple/holy-grail/index.v1_json", '"2.0"', '"3.0"'), "versions"),
        (lambda web: _spoil(web / "simple/empty/index.v1_json", '_last-serial":', '_last-serial":9'), "serial 9"),
        (lambda web: _spoil_html(web, "data-yanked", "data-spam"), "HTML and JSON"),
        (lambda web: _spoil_html(web, "../../packages", "../packages"), "HTML and JSON"),
        (lambda web: _spoil(web / "simple/index.v1_json", '"empty"', '"emptied"'), "root: JSON lists"),
        (lambda web: _spoil(web / "simple/index.html", "empty", "emptied"), "root: HTML lists"),
        (lambda web: _write(web / "packages/aa/bb/x.zip.part", b""), "nothing of that kind"),
        (lambda web: _write(web / "simple/empty/.index.tmp", b""), "nothing of that kind"),
        (lambda web: _write(web / f"packages/aa/bb/{'c' * 60}/x.zip", b""), "no page names it"),
        (lambda web: _write(web / "simple/spam/index.html", b""), "upstream has no such project"),
    ],
)
def test_each_way_of_being_untrue_is_seen(world: World, web: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(web)
    problems = check_tree(web, world)
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    "happen",
    [
        lambda world: world.create("new"),
        lambda world: world.unyank("holy-grail", "1.0"),
        lambda world: world.yank("holy-grail", "1.0"),
        lambda world: world.upload("holy_grail", "3.0"),
        lambda world: world.remove_file("odd", "Ödd #1?+&'x'%20[1].zip"),
        lambda world: world.quarantine("odd"),
        lambda world: world.quarantine_release("holy-grail", "1.0"),
        lambda world: world.unarchive("odd"),
        lambda world: world.remove_project("empty"),
    ],
)
def test_a_mirror_that_missed_an_event_is_seen(world: World, web: Path, happen: Callable[[World], None]) -> None:
    happen(world)
    assert check_tree(web, world)
    assert check_links(web) == [], "what is old may still be whole"


def test_what_may_differ_may_be_told(world: World, web: Path) -> None:
    _write(web / f"packages/aa/bb/{'c' * 60}/x.zip", b"")
    assert check_tree(web, world, allow_condemned=True) == []
    world.remove_project("odd")
    world.add_role("empty")
    mine = check_tree(web, world, projects=["HOLY.GRAIL", "empty"], allow_condemned=True)
    assert all("upstream has no such project" in problem or problem.startswith("root:") for problem in mine), mine


def test_a_mirror_at_work_is_never_accused_while_it_keeps_its_order(world: World, tmp_path: Path) -> None:
    over = threading.Event()

    def work() -> None:
        previous = world.upload("a", "0")
        _write(tmp_path / previous.path, previous.content)
        for number in itertools.count(1):
            file = world.upload("a", f"{number}", metadata=None)
            world.remove_file("a", previous.filename)
            _write(tmp_path / file.path, file.content)
            _publish(tmp_path, world.expected().pages["a"])
            (tmp_path / previous.path).unlink()
            previous = file
            if over.is_set():
                return

    worker = threading.Thread(target=work)
    worker.start()
    accusations: list[str] = []
    try:
        while (world.last_serial or 0) < 600 and worker.is_alive():
            accusations += [problem for problem in check_links(tmp_path) if "while it was checked" not in problem]
    finally:
        over.set()
        worker.join()
    assert accusations == []
    assert (world.last_serial or 0) >= 600, "the mirror stopped working"
