"""Unexpected responses, cut root lists, and all forms of pages.

The numbers are the rows of docs/protocol-cases.md.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from mirrorsync.errors import MirrorsyncError
from tests.protocol.kit import DAY, HOUR, REPEAT, Edited, listed, page_asks, reported, serves, tree, unmet
from tests.support.mirror import Mirror
from tests.support.pypi.faults import Body, Fault, MediaType, Portal, Redirect, TruncatedXML
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World


def keyed(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda page: page.update(values)


# case 21
async def test_transferred_name_serves_only_its_new_page(mirror: Mirror, world: World) -> None:
    await mirror.sync()
    world.journal_row("alpha", "remove Owner arthur")
    world.journal_row("alpha", "add Owner mordred")
    world.remove_release("alpha", "1.0")
    world.upload("Alpha", "0.1")
    await mirror.sync()
    assert mirror.page("alpha")["versions"] == ["0.1"]
    assert mirror.problems() == []
    mirror.clock.forward(2 * DAY)
    await mirror.sync()
    assert not [name for name in mirror.stored() if name.startswith("alpha-1.0")]


WRONG_PAGES: dict[str, Fault] = {
    "a log-in page": Portal(),
    "JSON of another type": MediaType("application/json"),
    "HTML called JSON": Body(b"<!DOCTYPE html><html></html>"),
    "another major version": Edited(lambda page: page["meta"].update({"api-version": "2.0"})),
    "no version": Edited(lambda page: page["meta"].pop("api-version")),
    "another project": Edited(keyed(name="beta")),
    "no files": Edited(lambda page: page.pop("files")),
    "half a page": TruncatedXML(),
    "an error": Body(b'{"message": "Internal Server Error"}'),
    "nothing": Body(b""),
}


# case 24
@pytest.mark.parametrize("kind", WRONG_PAGES)
async def test_response_that_is_not_the_page_delays_no_other_project(
    kind: str, mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    await mirror.sync()
    before, synced = tree(mirror.web / "simple" / "alpha"), world.last_serial
    world.upload("alpha", "1.1")
    world.upload("beta", "1.1")
    pypi.faults.add("^/simple/alpha/$", WRONG_PAGES[kind])
    totals = await mirror.sync()
    assert totals.errors >= 1
    assert tree(mirror.web / "simple" / "alpha") == before
    assert mirror.page("beta")["versions"] == ["1.0", "1.1"]
    assert unmet(mirror) == ["alpha"]
    assert mirror.status()["synced_serial"] == synced
    pypi.faults.clear()
    mirror.clock.forward(HOUR)
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


WRONG_LISTS: dict[str, Fault] = {
    "cut": TruncatedXML(0.7),
    "not JSON": Body(b"<html>"),
    "an object without a list": Body(b'{"meta": {"api-version": "1.4", "_last-serial": 99}}'),
    "another major version": Edited(keyed(meta={"api-version": "2.0", "_last-serial": 99})),
    "a log-in page": Portal(),
}


# case 26
@pytest.mark.parametrize("kind", WRONG_LISTS)
@pytest.mark.parametrize("feed", ["auto", "json"])
async def test_incomplete_root_list_is_not_used(
    kind: str, feed: str, tmp_path: Path, pypi: PyPI, hurried: MockClock
) -> None:
    del hurried
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": feed})
    await mirror.sync()
    before, synced = tree(mirror.web), mirror.status()["synced_serial"]
    pypi.faults.add("^/simple/$", WRONG_LISTS[kind])
    mirror.clock.forward(DAY)
    if feed == "json":
        with pytest.raises(MirrorsyncError):
            await mirror.sync()
    else:
        await mirror.sync()
        assert "root list" in reported(mirror)
    assert (tree(mirror.web), mirror.status()["synced_serial"]) == (before, synced)
    pypi.faults.clear()
    mirror.clock.forward(DAY)
    await mirror.sync()
    assert mirror.problems() == []


# case 26
async def test_cut_first_root_list_is_retried_and_starts_nothing(
    mirror: Mirror, pypi: PyPI, world: World, hurried: MockClock
) -> None:
    del hurried
    pypi.faults.add("^/simple/$", TruncatedXML(0.7))
    with pytest.raises(MirrorsyncError):
        await mirror.sync()
    assert page_asks(pypi) == []
    pypi.faults.clear()
    await mirror.sync()
    assert mirror.problems() == []
    assert mirror.status()["synced_serial"] == world.last_serial


# case 26
@pytest.mark.parametrize("feed", ["auto", "json"])
async def test_implausibly_short_root_list_removes_nothing(feed: str, tmp_path: Path, pypi: PyPI) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": feed})
    await mirror.sync()
    before = tree(mirror.web)
    pypi.truncate_root(1)
    for _ in range(3):
        mirror.clock.forward(DAY)
        await mirror.sync()
        assert "less than half" in reported(mirror)
    assert tree(mirror.web) == before
    pypi.truncate_root(2)  # plausible and wrong: the page is the second witness
    mirror.clock.forward(DAY)
    await mirror.sync()
    mirror.clock.forward(REPEAT)
    await mirror.sync()
    assert tree(mirror.web) == before
    pypi.release_root()
    await mirror.sync()
    assert mirror.problems() == []


# case 27
async def test_a_redirect_to_another_spelling_of_the_same_name_is_followed(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    world.upload("two-words", "1.0")
    rule = pypi.faults.add("^/simple/two-words/$", Redirect("/simple/Two_Words/", 301), times=1)
    totals = await mirror.sync()
    assert rule.hits == 1
    assert totals.errors == 0
    assert mirror.problems() == []


# case 27
@pytest.mark.parametrize(
    "location",
    ["/simple/beta/", "http://127.0.0.1:9/simple/alpha/", "/pypi/alpha/json", "//elsewhere.test/simple/alpha/"],
)
async def test_a_redirect_to_anything_else_is_not_followed(
    location: str, mirror: Mirror, pypi: PyPI, world: World
) -> None:
    await mirror.sync()
    before = tree(mirror.web / "simple" / "alpha")
    world.upload("alpha", "1.1")
    pypi.faults.add("^/simple/alpha/$", Redirect(location, 301))
    pypi.clear_requests()
    await mirror.sync()
    assert tree(mirror.web / "simple" / "alpha") == before
    assert unmet(mirror) == ["alpha"]
    assert {request.path for request in pypi.requests} == {"/pypi", "/simple/alpha/"}


def of_the_future(page: dict[str, Any]) -> None:
    page["meta"] |= {"api-version": "1.9", "_seal": "x"}
    page["namespaces"] = ["alpha"]
    page["project-status"] = {"status": "hibernating", "reason": "winter"}
    for file in page["files"]:
        file["signature"] = {"by": ["someone"]}
        file["hashes"]["sha3_256"] = "0" * 64


# case 28
async def test_page_of_a_later_minor_version_keeps_its_unknown_keys(mirror: Mirror, pypi: PyPI) -> None:
    pypi.faults.add("^/simple/alpha/$", Edited(of_the_future))
    totals = await mirror.sync()
    assert totals.errors == 0
    page = mirror.page("alpha")
    assert page["namespaces"] == ["alpha"]
    assert page["project-status"] == {"status": "hibernating", "reason": "winter"}
    assert [file["signature"] for file in page["files"]] == [{"by": ["someone"]}] * 2
    assert {"alpha-1.0.tar.gz", "alpha-1.0-py3-none-any.whl"} <= mirror.stored()
    assert "alpha" in listed(mirror)


# case 28
async def test_later_minor_version_is_reported_to_the_operator(mirror: Mirror, pypi: PyPI) -> None:
    pypi.faults.add("^/simple/alpha/$", Edited(of_the_future))
    await mirror.sync()
    assert [notice for notice in mirror.observer.notices if "upstream uses version 1.9 of the Simple API" in notice]


def sparse(page: dict[str, Any]) -> None:
    page["versions"] = None
    page["project-status"] = None
    page["alternate-locations"] = []
    page["tracks"] = []
    for file in page["files"]:
        file |= {"requires-python": None, "upload-time": None, "yanked": None, "provenance": None, "size": None}


# case 29
@pytest.mark.parametrize("shape", [Shape(), Shape(serial_as_string=True, api_version="1.1")], ids=["PyPI", "a mirror"])
async def test_every_form_of_a_page_is_parsed(shape: Shape, tmp_path: Path, world: World) -> None:
    world.upload("alpha", "1.1", upload_time="2020-02-02T02:02:02Z")
    world.upload("alpha", "1.2", upload_time="2020-02-02T02:02:02.000001Z", requires_python=">=3.8, !=3.9.*")
    world.yank("alpha", "1.1")
    world.yank("alpha", "1.2", 'broken "badly" <&>')
    with PyPI(world, shape=shape) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi)
        totals = await mirror.sync()
        assert totals.errors == 0
        assert mirror.problems() == []
        assert listed(mirror)["alpha"] == world.last_serial


# case 29
async def test_null_is_read_as_absent(mirror: Mirror, pypi: PyPI) -> None:
    pypi.faults.add("^/simple/alpha/$", Edited(sparse))
    totals = await mirror.sync()
    assert totals.errors == 0
    files = mirror.page("alpha")["files"]
    assert [(file["yanked"], file["requires-python"]) for file in files] == [(False, None)] * 2
    assert serves(mirror, "alpha")
    assert {"alpha-1.0.tar.gz", "alpha-1.0-py3-none-any.whl"} <= mirror.stored()


# case 30
async def test_versions_may_be_invalid_or_repeated(mirror: Mirror, world: World) -> None:
    versions = ["1.0.0", "1.00", "v1.0", "1.0dev-r1234", "2004-05-06", "final release", "1!2.0", "1.0+ubuntu.1", "?"]
    for number, version in enumerate(versions):
        world.upload("alpha", version, filename=f"alpha-{number}.tar.gz", content=b"%d" % number)
    totals = await mirror.sync()
    assert totals.errors == 0
    assert mirror.problems() == []
    assert set(mirror.page("alpha")["versions"]) == {"1.0", *versions}
