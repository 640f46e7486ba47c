"""The invariants one by one, where an order of steps or a single condition ensures them (docs/invariants.md)."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from mirrorsync.app.wiring import open_context
from mirrorsync.ports import Store
from mirrorsync.sync import single_pass as passes
from tests.support.mirror import Mirror
from tests.support.oracle.instant import unknown_to_state
from tests.support.pypi.exchange import Answer, Request
from tests.support.pypi.faults import Ask, DelayHeaders, False404, Fault, Stale, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World

_DAY = 86_400.0


class Died(BaseException):
    """The process has died."""


class Watched:
    """A store that reports each step to `report` before it takes it."""

    def __init__(self, store: Store, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def reported_after(doing: Any) -> Any:
            done = await doing
            self._report(f"{name} is done")
            return done

        def reported(*arguments: Any, **named: Any) -> Any:
            if name == "store_all":
                steps = [f"stage {small.path}" for small in arguments[0]]
            elif name == "publish_all":
                steps = [f"publish {path}" for path, _ in arguments[0]]
            else:
                steps = [f"{name} {arguments[0] if arguments else ''}".strip()]
            for step in steps:
                self._report(step)
            doing = method(*arguments, **named)
            return reported_after(doing) if name in ("store_all", "publish_all") else doing

        return reported


async def watched_sync(mirror: Mirror, report: Callable[[str], None]) -> None:
    """Make a pass; call `report` with each step of the store; it may end the process."""
    async with open_context(mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep) as context:
        store: Any = Watched(context.store, report)
        await passes.sync(replace(context, store=store))


async def dies(mirror: Mirror, before: str, after: str) -> None:
    """Make a pass that dies before its first step `before` after a step `after`."""
    steps: list[str] = []

    def report(step: str) -> None:
        if step.startswith(before) and any(earlier.startswith(after) for earlier in steps):
            raise Died
        steps.append(step)

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - alone or in nurseries' groups
        await watched_sync(mirror, report)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Died), repr(error)


async def test_no_page_names_a_file_before_it_is_stored(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    world.upload("alpha", "2.0")
    pypi.faults.add(r"/alpha-2\.0.*whl$", DelayHeaders(0.3), times=1)
    looked = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mirror.sync)
        while "alpha-2.0-py3-none-any.whl" not in mirror.stored():
            assert mirror.broken_links() == []
            looked += 1
            await trio.sleep(0.02)
    assert looked > 3
    assert mirror.problems() == []


async def test_failed_download_leaves_the_page_unchanged(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    before = mirror.page("alpha")
    world.upload("alpha", "2.0")
    world.upload("alpha", "3.0")
    pypi.faults.add(r"/alpha-2\.0.*whl$", Status(404))
    assert (await mirror.sync()).errors == 1
    assert mirror.page("alpha") == before
    assert mirror.broken_links() == []


async def test_files_are_durable_before_pages_and_pages_before_records(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    steps: list[str] = []
    await watched_sync(mirror, steps.append)
    pages = [number for number, step in enumerate(steps) if step.startswith("publish simple/alpha/")]
    files = [number for number, step in enumerate(steps) if "packages/" in step]
    assert len(pages) == 3
    assert files
    assert "settle" in steps[files[-1] : pages[0]], "files that were streamed or left by an earlier process are settled"
    assert "store_all is done" in steps[files[-1] : pages[0]]
    assert steps[pages[-1] + 1] == "publish_all is done"


async def test_unrecorded_page_is_compared_with_upstream_after_a_death(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    world.yank("alpha", "1.0")
    await dies(mirror, "publish_all is done", after="publish simple/alpha/index.html")
    assert mirror.page("alpha")["files"][0]["yanked"]
    world.unyank("alpha", "1.0")
    await mirror.sync()
    assert mirror.problems() == []


async def test_stored_file_without_a_page_is_swept_when_upstream_drops_it(
    mirror: Mirror, pypi: PyPI, world: World
) -> None:
    world.upload("alpha", "1.0")
    world.upload("alpha", "2.0")
    pypi.faults.add(r"/alpha-2\.0.*whl$", Status(404))
    await mirror.sync()
    assert {name for name in mirror.stored() if name.endswith("whl")} == {"alpha-1.0-py3-none-any.whl"}
    assert unknown_to_state(mirror.directory) == []
    pypi.faults.clear()
    world.remove_release("alpha", "1.0")
    await mirror.sync(["alpha"])
    mirror.clock.forward(_DAY + 1)
    await mirror.sync()
    assert {name for name in mirror.stored() if name.endswith("whl")} == {"alpha-2.0-py3-none-any.whl"}
    assert mirror.problems() == []


async def test_failure_holds_back_only_the_claimed_serial(mirror: Mirror, pypi: PyPI, world: World) -> None:
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
    await mirror.sync()
    before = world.last_serial or 0
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "2.0")
    pypi.faults.add(r"/beta-2\.0.*whl$", Status(404))
    assert (await mirror.sync()).errors == 1
    status = mirror.status()
    assert before <= status["synced_serial"] < (world.last_serial or 0)
    root = json.loads((mirror.web / "simple/index.v1_json").read_bytes())
    assert root["meta"]["_last-serial"] == status["synced_serial"]
    assert [row["name"] for row in status["unmet"]] == ["beta"]
    assert [len(mirror.page(name)["versions"]) for name in ("alpha", "beta", "gamma")] == [2, 1, 2]


async def test_404s_of_one_cache_remove_nothing(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    world.upload("alpha", "2.0")
    pypi.faults.add("^/simple/alpha/", False404())
    for _ in range(3):
        await mirror.sync(["alpha"])
        assert mirror.page("alpha")["versions"] == ["1.0"]
        mirror.clock.forward(200)
    pypi.faults.clear()
    await mirror.sync(["alpha"])
    assert mirror.problems() == []


async def test_recorded_serial_is_the_one_in_the_page(tmp_path: Path, world: World) -> None:
    world.upload("alpha", "1.0")
    world.upload("alpha", "2.0")
    with PyPI(world, shape=Shape(xmlrpc=False, root_json=False)) as pypi:
        mirror = Mirror(tmp_path / "mirror", pypi, select={"projects": ["alpha"]})
        await mirror.sync()
        served = mirror.page("alpha")
        pypi.faults.add("^/simple/alpha/", Stale())
        await mirror.sync()
        assert mirror.page("alpha") == served


async def test_file_that_returns_within_its_grace_is_not_swept(mirror: Mirror, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    world.quarantine("alpha")
    await mirror.sync()
    world.clear_quarantine("alpha")
    await mirror.sync()
    mirror.clock.forward(2 * _DAY)
    await mirror.sync()
    assert mirror.broken_links() == []
    assert mirror.problems() == []


class Meanwhile(Fault, frozen=True):
    """No fault; calls `happen` just before the response is made."""

    happen: Callable[[], object]

    def apply(self, _answer: Answer, request: Request, ask: Ask, /) -> Answer:
        self.happen()
        return ask(request)


async def test_unrecorded_page_is_not_replaced_by_an_older_cached_one(mirror: Mirror, pypi: PyPI, world: World) -> None:
    world.upload("alpha", "1.0")
    await mirror.sync()
    world.upload("alpha", "2.0")
    wanted = world.last_serial or 0
    pypi.faults.add("^/simple/alpha/", Meanwhile(lambda: world.upload("alpha", "3.0")), times=1)
    await dies(mirror, "publish_all is done", after="publish simple/alpha/index.html")
    served = mirror.page("alpha")
    assert served["versions"] == ["1.0", "2.0", "3.0"]
    pypi.faults.add("^/simple/alpha/", Stale(before=wanted + 1))
    pypi.faults.add("^/pypi", Status(503))  # the journal rows of 3.0 are not read yet
    await mirror.sync(["alpha"])
    assert mirror.page("alpha") == served
