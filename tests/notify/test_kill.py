"""Kill -9 between a page's publication and its purge: the next run sends the purge, never before the page is public."""

from pathlib import Path

import pytest

from mirrorsync.errors import ExitCode
from tests.notify.standin import ConfiguredResponse, StandIn
from tests.support.process.cli import Operator, terminate
from tests.support.process.launch import wait_until
from tests.support.pypi.faults import Stall
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World


def make_operator(home: Path, pypi: PyPI, standin: StandIn) -> Operator:
    return Operator(
        home,
        pypi,
        purge={"caches": [standin.url]},
        notify={"interval": "50ms"},
        content={"legacy-json": True},
    )


def page_lists(operator: Operator, version: str) -> bool:
    return f"alpha-{version}" in (operator.web / "simple/alpha/index.v1_json").read_text()


@pytest.mark.parametrize("command", ["sync", "run"])
def test_purge_is_sent_after_a_kill_between_publish_and_record(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn, command: str
) -> None:
    world.upload("alpha", "1.0")
    operator = make_operator(tmp_path, pypi, standin)
    assert operator.does("sync").code == ExitCode.OK
    standin.requests.clear()
    world.upload("alpha", "1.1")
    pypi.faults.add(r"^/pypi/alpha/json", Stall(0))  # the page is then public, but the project is not recorded
    with operator.doing(command) as process:
        wait_until(lambda: page_lists(operator, "1.1"), "the page is public")
        wait_until(lambda: pypi.seen(r"^/pypi/alpha/json"), "the legacy document is requested")
        process.kill()
        process.communicate()
    assert standin.paths("PURGE") == []  # the page may have been incomplete
    pypi.stop()  # the purge needs no upstream
    with operator.doing("run"):
        wait_until(lambda: "/simple/alpha/" in standin.paths("PURGE"), "the purge is sent")
    assert page_lists(operator, "1.1")


def test_purge_is_repeated_after_a_kill_while_the_cache_hangs(
    tmp_path: Path, world: World, pypi: PyPI, standin: StandIn
) -> None:
    world.upload("alpha", "1.0")
    operator = make_operator(tmp_path, pypi, standin)
    assert operator.does("sync").code == ExitCode.OK
    standin.requests.clear()
    standin.response = ConfiguredResponse(hangs=True)
    world.upload("alpha", "1.1")
    with operator.doing("sync") as process:
        wait_until(lambda: standin.requests, "the cache receives a purge")
        assert page_lists(operator, "1.1")
        process.kill()
        process.communicate()
    standin.response = ConfiguredResponse()
    standin.requests.clear()
    with operator.doing("run") as process:
        wait_until(lambda: "/simple/alpha/" in standin.paths("PURGE"), "the purge is sent again")
        assert terminate(process).code == ExitCode.OK
