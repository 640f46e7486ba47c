"""When upstream fails, the operator gets clear messages and the mirror loses nothing."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, result_of, snapshot
from tests.support.process.launch import Result
from tests.support.pypi.faults import Fault, Portal, Status, Truncate, WrongBytes, WrongSize
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_GOOD = {"alpha", "omega"}
_POISON: dict[str, tuple[str, Fault, tuple[str, ...]]] = {
    "missing": (r"/missing-.*whl$", Status(404), ("missing-1.0", "HTTP 404")),
    "forbidden": (r"/forbidden-.*whl$", Status(403), ("forbidden-1.0", "HTTP 403")),
    "swapped": (r"/swapped-.*whl$", WrongBytes(), ("swapped-1.0", "got sha256", "promised is", "bytes")),
    "longer": (r"/longer-.*whl$", WrongSize(10), ("longer-1.0", "its host announces", "bytes, not")),
    "shorter": (r"/shorter-.*whl$", WrongSize(-10), ("shorter-1.0", "its host announces", "bytes, not")),
    "cut": (r"/cut-.*whl$", Truncate(100), ("cut-1.0", "the body was cut", "bytes")),
    "portal": (r"/simple/portal/", Portal(), ("portal", "html")),
    "absent": (r"/simple/absent/", Status(404), ("absent", "HTTP 404")),
}
"""By project: the pattern of requests that fail, the fault, and words in the error message."""
_OUTAGES: dict[str, tuple[Fault | None, tuple[str, ...]]] = {
    "down": (None, ("no connection", "4 attempts in ", " s\n")),
    "portal": (Portal(), ("text/html",)),
    "failing": (Status(503), ("HTTP 503", "4 attempts in ", " s\n")),
}


class Story(msgspec.Struct, frozen=True):
    """The results of commands while projects fail, and after the faults have ended."""

    sync: Result
    status: Result
    document: dict[str, Any]
    shown: Result
    served: set[str]
    links: list[str]
    staged: list[str]
    again: Result
    recovered: Result
    problems: list[str]
    status_after: Result

    @property
    def unmet(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.document["unmet"]}


def _world(*names: str) -> World:
    world = World()
    for name in names:
        world.upload(name, "1.0", body=b"x" * 2000)
    return world


Outages = dict[str, tuple[Operator, Result]]


@pytest.fixture(scope="module")
def syncs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Operator, subprocess.Popen[str]]]]:
    """Syncs with an unavailable upstream. They run in parallel, because each waits for its retries."""
    indexes = {kind: PyPI(_world("alpha")) for kind in _OUTAGES}
    waiting = {}
    for kind, (fault, _) in _OUTAGES.items():
        if fault is not None:
            indexes[kind].start()
            indexes[kind].faults.add("", fault)
        else:
            indexes[kind].start()
            indexes[kind].stop()
        # With the JSON feed only one request is retried.
        operator = Operator(tmp_path_factory.mktemp(kind), indexes[kind], upstream={"feed": "json"})
        waiting[kind] = operator, operator.begins("sync")
    yield waiting
    for index in indexes.values():
        index.stop()


@pytest.fixture(scope="module")
def outages(syncs: dict[str, tuple[Operator, subprocess.Popen[str]]]) -> Outages:
    return {kind: (operator, result_of(process)) for kind, (operator, process) in syncs.items()}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, syncs: object) -> Iterator[Story]:  # noqa: ARG001 - runs in parallel
    with PyPI(_world(*_GOOD, *_POISON)) as pypi:
        operator = Operator(tmp_path_factory.mktemp("poisoned"), pypi)
        for pattern, fault, _ in _POISON.values():
            pypi.faults.add(pattern, fault)
        sync, as_json = operator.does("sync"), operator.does("status", "--json")
        results = {
            "sync": sync,
            "status": operator.does("status"),
            "document": json.loads(as_json.out),
            "shown": operator.does("project", "show", "swapped"),
            "served": {name for name in (*_GOOD, *_POISON) if operator.serves(name)},
            "links": operator.broken_links(),
            "staged": operator.staged(),
        }
        pypi.faults.clear()
        yield Story(
            **results,
            again=operator.does("sync"),
            recovered=operator.does("sync", *_POISON),
            problems=operator.problems(),
            status_after=operator.does("status"),
        )


@pytest.mark.parametrize("name", _POISON)
def test_each_failing_project_is_named_with_its_error(story: Story, name: str) -> None:
    error = story.unmet[name]["error"]
    assert all(word in error for word in _POISON[name][2]), error
    assert error in story.status.out
    assert len([line for line in story.sync.err.splitlines() if f"Z warning: {name}: " in line and error in line]) == 1


def test_sync_with_unmet_projects_exits_1_with_a_hint(story: Story) -> None:
    assert story.sync.code == ExitCode.UNMET
    assert f"{len(_POISON)} projects unmet" in story.sync.out
    assert "hint: `mirrorsync status`" in story.sync.out


def test_neighbours_of_failing_projects_are_served_completely(story: Story) -> None:
    assert story.served == _GOOD
    assert story.links == []
    assert story.staged == []


def test_status_has_the_keys_that_scripts_use(story: Story) -> None:
    documented = "synced_serial newest_serial upstream_serial lag_seconds projects files bytes unmet last_sync version"
    assert set(documented.split()) <= set(story.document)
    assert set(story.unmet) == set(_POISON)
    for row in story.unmet.values():
        assert {"name", "wanted", "mirrored", "attempts", "next_attempt_at", "error"} <= set(row)
        assert row["attempts"] == 1
        assert row["mirrored"] is None
    assert story.document["projects"] == len(_GOOD)
    assert story.document["synced_serial"] < min(row["wanted"] for row in story.unmet.values())


def test_mirror_that_was_never_complete_is_critical(story: Story) -> None:
    assert story.status.code == 2
    assert "last complete    never" in story.status.out
    assert story.document["last_sync"] is None


def test_project_info_has_the_last_error(story: Story) -> None:
    assert story.shown.code == ExitCode.OK
    assert "got sha256" in story.shown.out
    assert "1 failed in a row" in story.shown.out


def test_sync_exits_1_while_projects_wait_for_a_retry(story: Story) -> None:
    assert story.again.code == ExitCode.UNMET
    assert "0 failed attempts" in story.again.out


def test_mirror_equals_upstream_once_the_faults_end(story: Story) -> None:
    assert story.recovered.code == ExitCode.OK, story.recovered.said
    assert story.problems == []
    assert story.status_after.code == 0, story.status_after.said


@pytest.mark.parametrize("kind", _OUTAGES)
def test_unavailable_upstream_exits_69_and_the_next_sync_completes(outages: Outages, kind: str) -> None:
    operator, result = outages[kind]
    assert result.code == ExitCode.UNAVAILABLE, result.said
    assert "\nerror: " in result.err
    assert all(word in result.err for word in _OUTAGES[kind][1]), result.err
    meanwhile = operator.does("status")
    assert meanwhile.code == 2
    assert "halted: " in meanwhile.out
    assert "upstream has not answered yet" in meanwhile.out
    operator.pypi.faults.clear()
    if kind == "down":
        operator.pypi.start()
    assert operator.does("sync").code == ExitCode.OK
    assert operator.problems() == []


@pytest.mark.parametrize("kind", ["down", "portal"])
def test_error_for_an_unavailable_upstream_has_a_hint(outages: Outages, kind: str) -> None:
    assert "\nhint: " in outages[kind][1].err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be refused for being root")
def test_root_writes_nothing_into_another_users_mirror(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi)
    assert operator.does("sync").code == ExitCode.OK
    os.chown(operator.directory, 65534, 65534)
    before = snapshot(operator.directory)
    world.upload("beta", "1.0")
    for words in (("sync",), ("run",), ("project", "retry", "alpha")):
        end = operator.does(*words)
        assert end.code == ExitCode.CONFIG
        assert "runuser -u nobody -- mirrorsync" in end.said
    assert snapshot(operator.directory) == before
    assert operator.does("status").code == ExitCode.OK
