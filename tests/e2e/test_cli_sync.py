"""`mirrorsync sync`, `project` and `serve` for operators, scripts and terminals."""

import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, on_a_terminal, result_of, snapshot, terminate
from tests.support.process.launch import wait_until
from tests.support.pypi.faults import Stall, Status
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import Shape
from tests.support.pypi.world import World

_LARGE = b"z" * 3_000_000
"""Large enough to be written to a staging file during the download."""


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A complete mirror; the tests that share it leave it complete."""
    world = World()
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0", body=b"x" * 2000)
    with PyPI(world) as pypi:
        operator = Operator(tmp_path_factory.mktemp("synced"), pypi)
        assert operator.does("sync").code == ExitCode.OK
        yield operator


def test_named_project_is_synced_alone(tmp_path: Path, world: World, pypi: PyPI) -> None:
    for name in ("alpha", "beta"):
        world.upload(name, "1.0")
    operator = Operator(tmp_path, pypi)
    result = operator.does("sync", "ALPHA")
    assert result.code == ExitCode.OK, result.said
    assert result.out.startswith("1 project mirrored, 1 file fetched (")
    assert operator.serves("alpha")
    assert not operator.serves("beta")
    assert pypi.seen("/simple/beta/") == []
    assert operator.does("sync").code == ExitCode.OK
    assert operator.problems() == []


def test_misspelt_name_does_not_lower_the_claimed_serial(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi)
    assert operator.does("sync").code == ExitCode.OK
    result = operator.does("sync", "alhpa")
    assert result.code == ExitCode.UNMET
    assert f"error: {pypi.url} has no project alhpa" in result.err
    assert "hint: did you mean alpha?" in result.err
    assert "tried again" not in result.err
    assert operator.status()["synced_serial"] == world.last_serial


def test_dry_run_reports_files_and_bytes_and_changes_nothing(synced: Operator) -> None:
    file = synced.pypi.world.upload("beta", "2.0", body=b"y" * 5000)
    before = snapshot(synced.directory)
    result = synced.does("sync", "--dry-run")
    assert result.code == ExitCode.OK, result.said
    assert snapshot(synced.directory) == before
    size = f"{file.size / 1024:.1f} KiB"
    assert f"beta: fetch 1 file ({size}), drop 0 objects\n" in result.out
    assert f"would mirror 1 project and fetch 1 file ({size}); nothing was changed\n" in result.out
    assert synced.does("sync").code == ExitCode.OK
    assert synced.problems() == []


def test_dry_run_before_the_first_sync_leaves_the_directory_empty(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    operator = Operator(tmp_path, pypi)
    result = operator.does("sync", "--dry-run")
    assert result.code == ExitCode.OK, result.said
    assert "would mirror 1 project and fetch 1 file (" in result.out
    assert snapshot(operator.directory) == {}


def test_new_failure_in_a_complete_mirror_is_a_warning_until_retried(synced: Operator) -> None:
    synced.pypi.world.upload("gamma", "2.0")
    rule = synced.pypi.faults.add(r"/gamma-2.0.*whl$", Status(404))
    assert synced.does("sync").code == ExitCode.UNMET
    result = synced.does("status")
    assert result.code == 1
    assert "gamma: wanted" in result.out
    assert "1 attempt, again in" in result.out
    synced.pypi.faults.remove(rule)
    retried = synced.does("project", "retry", "Gamma")
    assert retried.code == ExitCode.OK
    assert retried.out.startswith("gamma is due now")
    assert synced.does("sync").code == ExitCode.OK
    assert synced.does("status").code == 0
    assert synced.problems() == []


def test_project_info_accepts_any_spelling_and_has_json(synced: Operator) -> None:
    result = synced.does("project", "show", "Alpha")
    assert result.code == ExitCode.OK
    assert re.search(r"^files +1 of 1 stored \(\d+(\.\d)? KiB\)$", result.out, re.MULTILINE)
    as_json = synced.does("project", "show", "alpha", "--json")
    assert '"name": "alpha"' in as_json.out


@pytest.mark.parametrize("command", ["show", "retry"])
def test_unknown_project_is_refused_with_a_hint(synced: Operator, command: str) -> None:
    result = synced.does("project", command, "alhpa")
    assert result.code == ExitCode.UNMET
    assert "this mirror has no project alhpa" in result.err
    assert "hint: did you mean alpha?" in result.err


def test_terminal_shows_a_progress_bar_with_the_totals_below(synced: Operator) -> None:
    synced.pypi.world.upload("alpha", "2.0")
    result = on_a_terminal("sync", "--config", str(synced.config))
    assert result.code == ExitCode.OK
    assert "━" in result.out
    assert "\x1b[" in result.out
    assert "1 project mirrored" in result.out.splitlines()[-1]


def test_tree_is_served_until_sigterm(synced: Operator) -> None:
    with synced.doing("serve", "--listen", "127.0.0.1:0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.fullmatch(rf"serving {synced.web} at (http://127\.0\.0\.1:\d+)/?\n", line)
        assert address is not None, line
        with urllib.request.urlopen(f"{address[1]}/simple/", timeout=20) as answer:  # noqa: S310 - loopback
            assert b"alpha" in answer.read()
        assert terminate(process).code == ExitCode.OK


def test_second_run_is_refused_during_the_first_and_status_answers(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("quick", "1.0")
    world.upload("slow", "1.0", body=_LARGE)
    pypi.faults.add(r"/slow-.*whl$", Stall(2_500_000))
    operator = Operator(tmp_path, pypi)
    with operator.doing("sync") as first:
        wait_until(lambda: operator.staged() and operator.serves("quick"), "slow is being downloaded, quick is served")
        for command in ("sync", "run"):
            result = operator.does(command)
            assert result.code == ExitCode.ALREADY_RUNNING
            assert f"another mirrorsync (process {first.pid}) is working on {operator.directory}" in result.err
            assert "hint: wait until it ends, or stop it" in result.err
        assert [row["name"] for row in operator.status()["unmet"]] == ["slow"]
        assert operator.broken_links() == []
        first.send_signal(signal.SIGINT)
        stopped = result_of(first)
    assert stopped.code == 128 + signal.SIGINT
    assert stopped.out.startswith("stopped by SIGINT; finished projects are kept")
    assert operator.staged() == []
    pypi.faults.clear()
    assert operator.does("sync").code == ExitCode.OK
    assert operator.problems() == []


def test_next_sync_completes_what_kill_9_interrupted(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("quick", "1.0")
    world.upload("slow", "1.0", body=_LARGE)
    pypi.faults.add(r"/slow-.*whl$", Stall(2_500_000))
    operator = Operator(tmp_path, pypi)
    with operator.doing("sync") as process:
        wait_until(lambda: operator.staged() and operator.serves("quick"), "slow is being downloaded, quick is served")
        process.kill()
        process.communicate()
    assert operator.staged() != []
    assert operator.broken_links() == []
    assert not any("slow" in name for name in operator.stored())
    pypi.faults.clear()
    assert operator.does("sync").code == ExitCode.OK
    assert operator.staged() == []
    assert operator.problems() == []


def test_plain_proxy_is_mirrored_by_name_and_its_limits_are_reported(tmp_path: Path, world: World) -> None:
    for name in ("alpha", "beta", "other"):
        world.upload(name, "1.0")
    with PyPI(world, shape=Shape.plain_proxy()) as proxy:
        operator = Operator(tmp_path, proxy)
        everything = operator.does("sync")
        assert everything.code == ExitCode.UNAVAILABLE
        assert "hint: name the projects that you want in [select] projects" in everything.err
        operator.configure(select={"projects": ["alpha", "beta"]})
        first = operator.does("sync")
        assert first.code == ExitCode.OK, first.said
        assert "upstream has no changelog" in first.err
        assert "it is unknown how far upstream is ahead" in first.err
        assert operator.problems(projects=["alpha", "beta"]) == []
        proxy.clear_requests()
        assert operator.does("sync").code == ExitCode.OK
        assert proxy.seen(r"/files/|/packages/") == []
        assert len(proxy.seen("/simple/(alpha|beta)/")) == 2
        document = operator.status()
        assert (document["synced_serial"], document["upstream_serial"], document["unmet"]) == (None, None, [])


def test_deselected_projects_leave_the_tree_and_files_keep_their_grace(
    tmp_path: Path, world: World, pypi: PyPI
) -> None:
    kept, dropped = world.upload("alpha", "1.0"), world.upload("beta", "1.0")
    operator = Operator(tmp_path, pypi)
    assert operator.does("sync").code == ExitCode.OK
    operator.configure(select={"exclude": ["beta"]})
    assert operator.does("sync").code == ExitCode.OK
    assert operator.problems(projects=["alpha"]) == []
    assert operator.stored() >= {kept.filename, dropped.filename}
    assert operator.status()["condemned"] > 0


def test_dry_run_with_another_selection_removes_nothing(tmp_path: Path, world: World, pypi: PyPI) -> None:
    world.upload("alpha", "1.0")
    world.upload("beta", "1.0")
    fewer = Operator(tmp_path, pypi)
    assert fewer.does("sync").code == ExitCode.OK
    fewer.configure(select={"exclude": ["beta"]})
    before = snapshot(fewer.directory / "web")
    result = fewer.does("sync", "--dry-run")
    assert result.code == ExitCode.OK
    assert "would mirror 1 project and" in result.out
    assert "would REMOVE 1 project, 1 file (" in result.out
    assert snapshot(fewer.directory / "web") == before


def test_selection_that_removes_too_much_waits_for_consent(tmp_path: Path, world: World, pypi: PyPI) -> None:
    for name in ("alpha", "beta", "gamma"):
        world.upload(name, "1.0")
    operator = Operator(tmp_path, pypi)
    assert operator.does("sync").code == ExitCode.OK
    operator.configure(select={"projects": ["alpha"]}, limits={"max-removed-projects": 1})
    before = snapshot(operator.directory / "web")
    for command in ("sync", "run"):
        end = operator.does(command)
        assert end.code == ExitCode.CONFIG
        assert "what [select] now leaves out: 2 projects, 2 files" in end.said
        assert "--allow-removals" in end.said
    assert snapshot(operator.directory / "web") == before
    assert "the last run was halted: what [select] now leaves out" in operator.does("status").out
    assert operator.does("sync", "--allow-removals").code == ExitCode.OK
    assert operator.problems(projects=["alpha"]) == []
