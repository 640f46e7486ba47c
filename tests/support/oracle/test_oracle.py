import itertools
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.oracle import Folder, Level, Oracle, Terms, broken_links
from tests.support.oracle.offered import leftovers, pages_with
from tests.support.pypi import wire
from tests.support.pypi.values import Page, Shape
from tests.support.pypi.world import World

ORIGIN = wire.Origin("http://index.test", "", Shape(relative_urls=True))


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system and outside the tree, like a mirror's staging directory.
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
    _claim(web, expected.serial)


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


@pytest.mark.parametrize("level", list(Level))
def test_true_mirror_has_no_problems(world: World, web: Path, level: Level) -> None:
    assert Oracle(web, world).problems(level) == []


def settled(web: Path, world: World) -> list[str]:
    return Oracle(web, world).problems(Level.SETTLED)


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
        (lambda web: _write(web / "simple/empty/index.v1_json", b'{"x'), "not a project page in JSON"),
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
        (lambda web: _write(web / "mirrorsync/status.json.part", b""), "nothing of that kind"),
        (lambda web: _write(web / "pypi/empty/json", b"{}"), "nothing of that kind"),
        (lambda web: _write(web / "simple/spam/index.html", b""), "upstream has no such project"),
    ],
)
def test_each_difference_from_upstream_is_reported(
    world: World, web: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(web)
    problems = settled(web, world)
    assert any(said in problem for problem in problems), problems


MISSED_EVENTS: list[Callable[[World], object]] = [
    lambda world: world.create("new"),
    lambda world: world.unyank("holy-grail", "1.0"),
    lambda world: world.yank("holy-grail", "1.0"),
    lambda world: world.upload("holy_grail", "3.0"),
    lambda world: world.remove_file("odd", "Ödd #1?+&'x'%20[1].zip"),
    lambda world: world.quarantine("odd"),
    lambda world: world.quarantine_release("holy-grail", "1.0"),
    lambda world: world.unarchive("odd"),
    lambda world: world.remove_project("empty"),
]


@pytest.mark.parametrize("happen", MISSED_EVENTS)
def test_missed_event_is_reported(world: World, web: Path, happen: Callable[[World], object]) -> None:
    happen(world)
    assert settled(web, world)
    assert list(broken_links(Folder(web))) == [], "an old tree may be whole"
    assert Oracle(web, world).problems(Level.ALWAYS) == [], "an old tree that claims an old serial is true"


def test_empty_folder_of_a_removed_project_is_reported(world: World, web: Path) -> None:
    (web / "simple" / "gone").mkdir()
    assert settled(web, world) == ["gone: served, and upstream has no such project"]


def test_allowed_differences_are_not_reported(world: World, web: Path) -> None:
    _write(web / "pypi/empty/json", b"{}")
    assert Oracle(web, world, Terms(extras=True)).problems(Level.SETTLED) == []
    (web / "pypi/empty/json").unlink()
    world.remove_project("odd")
    world.add_role("empty")
    mine = Oracle(web, world, Terms(projects=["HOLY.GRAIL", "empty"])).problems(Level.SETTLED)
    assert all("upstream has no such project" in problem or problem.startswith("root:") for problem in mine), mine


def test_quarantined_project_may_lack_its_page_only_where_terms_say_so(world: World, web: Path) -> None:
    shutil.rmtree(web / "simple" / "bad")
    assert settled(web, world) == ["bad: no page"]
    lenient = Oracle(web, world, Terms(quarantined_may_be_absent=True))
    assert lenient.problems(Level.SETTLED) == lenient.problems(Level.OFFERED) == []
    assert lenient.problems(Level.ALWAYS) == []
    assert Oracle(web, world).problems(Level.ALWAYS) != []


def test_file_without_a_page_is_allowed_until_it_is_swept(world: World, web: Path) -> None:
    unnamed = f"packages/aa/bb/{'c' * 60}/x.zip"
    _write(web / unnamed, b"")
    assert settled(web, world) == []
    assert Oracle(web, world).problems(Level.SWEPT) == [f"{unnamed}: no page names it"]


def _claim(web: Path, serial: int) -> None:
    _write(web / "mirrorsync/status.json", b'{"synced_serial": %d}' % serial)


@pytest.mark.parametrize("happen", [event for number, event in enumerate(MISSED_EVENTS) if number != 7])
def test_overclaimed_serial_is_reported(world: World, web: Path, happen: Callable[[World], object]) -> None:
    happen(world)
    _claim(web, world.last_serial or 0)
    problems = Oracle(web, world).problems(Level.ALWAYS)
    assert problems
    assert all(problem.startswith("I2 ") for problem in problems), problems


def test_overclaim_of_the_root_index_is_reported(world: World, web: Path) -> None:
    world.yank("holy-grail", "1.0")
    expected = world.expected()
    _write(web / "simple/index.v1_json", wire.root_json(expected.root, expected.serial, ORIGIN.shape))
    assert {problem[:13] for problem in Oracle(web, world).problems(Level.ALWAYS)} == {"I2 holy-grail"}


def test_page_that_upstream_never_served_is_reported(world: World, web: Path) -> None:
    _spoil(web / "simple/holy-grail/index.v1_json", ">=3.6,<4", ">=3.7")
    assert [problem[:28] for problem in Oracle(web, world).problems(Level.ALWAYS)] == ["I2 holy-grail/index.v1_json:"]


def test_mixed_page_is_allowed_only_where_terms_say_so(world: World, web: Path) -> None:
    world.yank("holy-grail", "2.0")
    world.unyank("holy-grail", "1.0")
    page = world.expected().pages["holy-grail"]
    files = tuple(replace(file, yanked=False) for file in page.files)
    _publish(web, replace(page, files=files))
    assert len(Oracle(web, world).problems(Level.ALWAYS)) == 3
    assert Oracle(web, world, Terms(mixed_pages=True)).problems(Level.ALWAYS) == []


def test_page_that_goes_back_to_an_older_serial_is_reported(world: World, web: Path) -> None:
    oracle = Oracle(web, world)
    old = (web / "simple/empty/index.v1_json").read_bytes()
    world.add_role("empty")
    _publish(web, world.expected().pages["empty"])
    assert oracle.problems(Level.ALWAYS) == []
    _write(web / "simple/empty/index.v1_json", old)
    assert [problem[:9] for problem in oracle.problems(Level.ALWAYS)] == ["I6 empty:"]
    assert oracle.problems(Level.ALWAYS) == []


@pytest.mark.parametrize("terms", [Terms(), Terms(serials_restart=True)])
def test_older_serial_after_a_removal_is_reported_by_default(world: World, web: Path, terms: Terms) -> None:
    oracle = Oracle(web, world, terms)
    assert oracle.problems(Level.ALWAYS) == []
    body = (web / "simple/empty/index.v1_json").read_bytes()
    (web / "simple/empty/index.v1_json").unlink()
    oracle.problems(Level.ALWAYS)
    _write(web / "simple/empty/index.v1_json", body.replace(b'_last-serial":', b'_last-serial":0.'))
    reported = any(problem.startswith("I6") for problem in oracle.problems(Level.ALWAYS))
    assert reported != terms.serials_restart


@pytest.mark.parametrize("path", ["packages/aa/bb/x.zip.part", "simple/empty/.index.tmp", "tmp", "mirrorsync/x.json"])
def test_stray_file_is_reported_at_every_instant(world: World, web: Path, path: str) -> None:
    _write(web / path, b"")
    assert Oracle(web, world).problems(Level.ALWAYS) == [f"I4 {path}: nothing of that kind belongs into the tree"]


def test_partial_file_that_no_page_names_is_reported(world: World, web: Path) -> None:
    _write(web / f"packages/aa/bb/{'c' * 60}/x.zip", b"half")
    (problem,) = Oracle(web, world).problems(Level.ALWAYS)
    assert problem.endswith("/x.zip: 4 bytes that are not those of its path")


def _state(world: World) -> sqlite3.Connection:
    """Return a state that mentions all that `web` holds, with the columns that the oracle reads."""
    state = sqlite3.connect(":memory:")
    state.executescript(
        "CREATE TABLE mirror (id); CREATE TABLE project (name); CREATE TABLE condemned (place, filename);"
        "CREATE TABLE file (project, place, filename, metadata_sha256)"
    )
    for page in world.expected().pages.values():
        state.execute("INSERT INTO project VALUES (?)", (page.name,))
        for file in page.files:
            row = page.name, bytes.fromhex(file.place), file.filename, file.metadata_sha256
            state.execute("INSERT INTO file VALUES (?, ?, ?, ?)", row)
    return state


@pytest.mark.parametrize(
    ("forget", "unknown"),
    [
        ("UPDATE file SET metadata_sha256 = NULL", ".whl.metadata"),
        ("DELETE FROM file WHERE project = 'odd'", "[1].zip"),
        ("DELETE FROM project WHERE name = 'empty'", "simple/empty/index.html"),
    ],
)
def test_object_that_the_state_does_not_mention_is_reported(world: World, web: Path, forget: str, unknown: str) -> None:
    state = _state(world)
    assert Oracle(web, world, state=lambda: state).problems(Level.ALWAYS) == []
    state.execute(forget)
    problems = Oracle(web, world, state=lambda: state).problems(Level.ALWAYS)
    assert any(unknown in problem for problem in problems), problems
    assert all("the state does not mention" in problem for problem in problems)


def test_offer_is_compared_by_files_digests_yanks_and_root_list(world: World, web: Path) -> None:
    _spoil(web / "simple/odd/index.v1_json", "archived", "active")
    assert Oracle(web, world).problems(Level.OFFERED) == [], "what other programs leave out does not count"
    for happen in MISSED_EVENTS[:6]:
        happen(world)
        assert Oracle(web, world).problems(Level.OFFERED)
        _mirror(world, web)
        assert Oracle(web, world).problems(Level.OFFERED) == []


def test_leftovers_and_markup_are_found(world: World, web: Path) -> None:
    assert leftovers(Folder(web), world) == []
    assert pages_with(Folder(web), b"<script") == []
    _write(web / "packages/aa/x.part", b"")
    _write(web / "simple/odd/index.html", b"<script>")
    assert leftovers(Folder(web), world) == ["packages/aa/x.part is left over"]
    assert pages_with(Folder(web), b"<script") == ["simple/odd/index.html holds b'<script'"]


def test_mirror_at_work_that_keeps_its_order_is_never_accused(world: World, tmp_path: Path) -> None:
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
            accusations += [problem for problem in broken_links(Folder(tmp_path)) if "while it was" not in problem]
    finally:
        over.set()
        worker.join()
    assert accusations == []
    assert (world.last_serial or 0) >= 600, "the mirror stopped working"
