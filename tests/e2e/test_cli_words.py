"""The command line before any work: help, version, errors in configuration and arguments."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from mirrorsync.cli.main import app
from mirrorsync.errors import ExitCode
from tests.support.process.cli import Operator, mirrorsync, result_of, snapshot, start
from tests.support.pypi.server import PyPI


def commands() -> list[list[str]]:
    """Return the words of every command and group."""

    def below(command: object, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, [*words, name])

    return list(below(typer.main.get_command(app), []))


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Mount an empty read-only disk at `place`."""
    mount = shutil.which("mount", path="/bin:/usr/bin")
    umount = shutil.which("umount", path="/bin:/usr/bin")
    mounted = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "ro", "none", place], check=False, capture_output=True
    )
    if not mounted or mounted.returncode or not umount:
        pytest.skip("mounting a read-only disk is not permitted here")
    try:
        yield
    finally:
        subprocess.run([umount, place], check=True)


@pytest.fixture
def operator(tmp_path: Path, pypi: PyPI) -> Operator:
    return Operator(tmp_path, pypi)


def test_version_is_printed() -> None:
    result = mirrorsync("--version")
    assert result.code == ExitCode.OK
    assert re.fullmatch(r"mirrorsync \d+\.\d+\.\d+\n", result.out)


def test_help_of_each_command_has_an_example() -> None:
    processes = {" ".join(words): start(*words, "--help") for words in commands()}
    for words, process in processes.items():
        result = result_of(process)
        assert result.code == ExitCode.OK, words
        assert re.search(r"(Example|Start with): mirrorsync \w", result.out), f"{words}: {result.out}"


def test_each_next_step_that_init_names_exists(tmp_path: Path) -> None:
    result = mirrorsync("init", "--contact", "operator@site.test", cwd=tmp_path)
    assert result.code == ExitCode.OK, result.said
    steps = re.findall(r"mirrorsync ([a-z]+)", result.out)
    assert steps
    assert set(steps) <= {words[0] for words in commands() if words}, result.out


def test_missing_configuration_names_the_searched_paths(tmp_path: Path) -> None:
    result = mirrorsync("sync", cwd=tmp_path)
    assert result.code == ExitCode.CONFIG
    assert "no configuration file was found" in result.err
    assert "mirrorsync.toml" in result.err
    assert "hint: `mirrorsync init`" in result.err


@pytest.mark.parametrize("command", ["sync", "run", "serve"])
def test_misspelt_key_gets_did_you_mean(operator: Operator, command: str) -> None:
    operator.configure(upstream={"conections": 3})
    result = operator.does(command)
    assert result.code == ExitCode.CONFIG
    assert "'conections'" in result.err
    assert "did you mean connections?" in result.err


def test_missing_mirror_directory_is_named_and_not_created(operator: Operator) -> None:
    missing = operator.home / "not-mounted"
    operator.configure(mirror={"directory": str(missing)})
    result = operator.does("sync")
    assert result.code == ExitCode.CANNOT_WRITE
    assert f"[mirror] directory {missing} does not exist" in result.err
    assert "hint: create it" in result.err
    assert not missing.exists()


def test_mirror_directory_below_a_file_is_refused(operator: Operator) -> None:
    (operator.home / "file").write_text("in the way")
    operator.configure(mirror={"directory": str(operator.home / "file" / "mirror")})
    result = operator.does("run")
    assert result.code == ExitCode.CANNOT_WRITE
    assert "hint: create it" in result.err


def test_read_only_disk_is_named(operator: Operator) -> None:
    with read_only(operator.directory):
        result = operator.does("sync")
    assert result.code == ExitCode.CANNOT_WRITE
    assert "Read-only file system" in result.err
    assert f"[mirror] directory {operator.directory} cannot be written" in result.err
    assert "hint: " in result.err


def test_status_before_the_first_sync_reports_no_mirror(operator: Operator) -> None:
    for arguments, code in {("status",): 3, ("status", "--json"): 3, ("project", "show", "alpha"): 78}.items():
        result = operator.does(*arguments)
        assert result.code == code, arguments
        assert "no mirror yet" in result.said
        assert "hint: run `mirrorsync sync`" in result.said


def test_empty_index_is_mirrored_and_ok(operator: Operator) -> None:
    result = operator.does("sync")
    assert result.code == ExitCode.OK, result.said
    assert result.out == "0 projects mirrored, 0 files fetched (0 B), 0 failed attempts; 0 projects unmet\n"
    assert operator.problems() == []
    assert operator.does("status").code == 0


@pytest.mark.parametrize("command", [["sync"], ["project", "show"], ["project", "retry"]])
def test_invalid_project_name_is_a_usage_error(operator: Operator, command: list[str]) -> None:
    result = operator.does(*command, "no name!")
    assert result.code == ExitCode.USAGE
    assert "'no name!' is not a project name" in result.err


def test_unselected_project_name_is_refused_before_any_work(operator: Operator) -> None:
    operator.configure(select={"exclude": ["Beta"]})
    result = operator.does("sync", "BETA")
    assert result.code == ExitCode.CONFIG
    assert "[select] does not select beta" in result.err
    assert "hint: " in result.err
    assert snapshot(operator.directory) == {}
    assert operator.pypi.requests == []


def test_serve_without_a_tree_is_refused(operator: Operator) -> None:
    result = operator.does("serve", "--listen", "127.0.0.1:0")
    assert result.code == ExitCode.CONFIG
    assert "is not a directory" in result.err
    assert "hint: run `mirrorsync sync` first" in result.err


def test_index_other_than_the_mirrors_is_refused(operator: Operator) -> None:
    assert operator.does("sync").code == ExitCode.OK
    operator.configure(upstream={"index": "http://another.test"})
    result = operator.does("sync")
    assert result.code == ExitCode.CONFIG
    assert f"this mirror was made from {operator.pypi.url}" in result.err
    assert "hint: " in result.err
