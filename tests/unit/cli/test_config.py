import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.cli.program import app
from typer.testing import CliRunner

import mirrorsync
from mirrorsync.config.example import example
from mirrorsync.config.load import load
from mirrorsync.errors import ExitCode

ROOT = Path(__file__).resolve().parents[3]
HEAD = '[mirror]\ndirectory = "/srv/pypi"\ncontact = "ops@site.test"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIRRORSYNC_CONFIG", raising=False)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


def process(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program as an operator does, after the shell command `before`."""
    path = os.pathsep.join((str(ROOT), str(Path(mirrorsync.__file__).parents[1])))
    environ = {name: value for name, value in os.environ.items() if name != "MIRRORSYNC_CONFIG"}
    command = shlex.join((sys.executable, "-m", "tests.unit.cli.program", *arguments))
    return subprocess.run(
        ["bash", "-c", f"{before}exec {command}"],
        cwd=folder,
        env=environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class TestInit:
    def test_writes_a_file_that_check_accepts(self, here: Path) -> None:
        code, out, err = run("init", "--directory", "mirror", "--contact", "ops@site.test")
        assert (code, err) == (0, "")
        assert "Wrote mirrorsync.toml." in out
        assert load(here / "mirrorsync.toml").mirror.directory == here / "mirror"
        assert run("config", "check")[0] == 0

    def test_first_step_sets_a_missing_contact(self, here: Path) -> None:
        code, out, _ = run("init")
        assert code == 0
        assert "1. edit mirrorsync.toml: set contact to your e-mail or web address" in out
        assert (here / "mirrorsync.toml").read_text() == example(None, None)
        assert run("config", "check")[0] == ExitCode.CONFIG

    def test_next_steps_export_the_variable_for_another_path(self, here: Path) -> None:
        _, out, _ = run("init", "site.toml", "--contact", "ops@site.test")
        assert f"export MIRRORSYNC_CONFIG={here / 'site.toml'}" in out
        assert "MIRRORSYNC_CONFIG" not in run("init", "--contact", "ops@site.test")[1]

    def test_existing_file_is_not_overwritten(self, here: Path) -> None:
        (here / "mirrorsync.toml").write_text("mine")
        code, out, err = run("init")
        assert (code, out) == (ExitCode.CANNOT_WRITE, "")
        assert "error: mirrorsync.toml already exists: it was not changed\nhint: " in err
        assert (here / "mirrorsync.toml").read_text() == "mine"

    def test_missing_directory_is_named(self, here: Path) -> None:
        code, _, err = run("init", "etc/site.toml")
        assert code == ExitCode.CANNOT_WRITE
        assert f"check that the directory {here / 'etc'}" in err

    @pytest.mark.parametrize("option", [("--contact", "nobody"), ("--directory", "a\x1bb"), ("--directory", "\udcff")])
    def test_invalid_options_write_no_file(self, here: Path, option: tuple[str, ...]) -> None:
        code, _, err = run("init", *option)
        assert code == ExitCode.CONFIG
        assert "\x1b" not in err
        assert list(here.iterdir()) == []

    def test_full_disk_leaves_no_partial_file(self, tmp_path: Path) -> None:
        # Coverage, where it is measured, could not write its file either.
        done = process(tmp_path, "init", before="unset COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START; ulimit -f 0; ")
        assert done.returncode == ExitCode.CANNOT_WRITE, done.stderr
        assert "error: mirrorsync.toml cannot be written: File too large\n" in done.stderr
        assert list(tmp_path.iterdir()) == []


class TestCheck:
    def test_shows_settings_in_human_units_and_one_column(self, here: Path) -> None:
        (here / "mirrorsync.toml").write_text(HEAD + '[limits]\nmin-free = "1536 MiB"\n')
        code, out, err = run("config", "check")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0] == "mirrorsync.toml is valid."
        assert "directory             /srv/pypi" in lines
        assert "contact               ops@site.test" in lines
        assert "poll-interval         60s" in lines
        assert "projects              (everything)" in lines
        assert "proxy                 (not set)" in lines
        assert "max-removed-bytes     500 GiB" in lines
        assert "min-free              1.5 GiB" in lines

    def test_warnings_do_not_fail_the_check(self, here: Path) -> None:
        (here / "mirrorsync.toml").write_text(HEAD + "[upstream]\nconnections = 20\n")
        code, _, err = run("config", "check")
        assert code == 0
        assert err.startswith("warning: connections is 20: PyPI asks mirrors to use at most 10")

    def test_json_has_plain_numbers_under_the_files_keys(self, here: Path) -> None:
        (here / "site.toml").write_text(HEAD + '[upstream]\npoll-interval = "2m"\n[limits]\nmin-free = "0"\n')
        code, out, err = run("config", "check", "--json", "--config", "site.toml")
        assert (code, err) == (0, "")
        answer = json.loads(out)
        assert answer["path"] == str(here / "site.toml")
        assert answer["settings"]["mirror"] == {"directory": "/srv/pypi", "contact": "ops@site.test", "name": None}
        assert answer["settings"]["upstream"]["poll-interval"] == 120
        assert answer["settings"]["limits"]["min-free"] == 0
        assert len(answer["warnings"]) == 1

    def test_explain_describes_the_settings(self, here: Path) -> None:
        (here / "mirrorsync.toml").write_text(HEAD)
        _, out, _ = run("config", "check", "--explain")
        assert "\n    Exact names of the projects to mirror. Empty: all projects.\n" in out

    def test_proxy_password_is_masked_in_every_format(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (here / "proxy").write_text("http://user:hunter2@proxy.test:3128")
        (here / "mirrorsync.toml").write_text(HEAD + '[upstream]\nproxy = "credential:proxy"\n')
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(here))
        for form in ((), ("--json",), ("--explain",)):
            code, out, err = run("config", "check", *form)
            assert code == 0, err
            assert "http://***@proxy.test:3128" in out
            assert "hunter2" not in out + err

    def test_only_the_host_of_a_webhook_is_shown_in_every_format(self, here: Path) -> None:
        hooks = '["https://hooks.test:8443/services/T0/hunter2", "https://hooks.test?token=hunter2"]'
        (here / "secret").write_text("0" * 32)
        (here / "mirrorsync.toml").write_text(f'{HEAD}[notify]\nwebhooks = {hooks}\nwebhook-secret-file = "secret"\n')
        for form in ((), ("--json",), ("--explain",)):
            code, out, err = run("config", "check", *form)
            assert code == 0, err
            assert "https://hooks.test:8443/***" in out
            assert "https://hooks.test/***" in out
            assert "hunter2" not in out + err

    def test_invalid_file_exits_78_without_standard_output(self, here: Path) -> None:
        (here / "mirrorsync.toml").write_text(HEAD + "[upstream]\nconections = 3\n")
        for form in ((), ("--json",)):
            code, out, err = run("config", "check", *form)
            assert (code, out) == (ExitCode.CONFIG, "")
            assert "hint: did you mean connections?\n" in err

    def test_variable_names_the_file(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (here / "site.toml").write_text(HEAD)
        monkeypatch.setenv("MIRRORSYNC_CONFIG", str(here / "site.toml"))
        assert run("config", "check")[1].startswith(f"{here / 'site.toml'} is valid.")


@pytest.mark.parametrize("command", [("init",), ("config",), ("config", "check")])
def test_help_of_every_command_has_an_example(command: tuple[str, ...]) -> None:
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert re.search(rf"Example:\s+mirrorsync\s+{command[0]}", out)


def test_process_reports_an_invalid_file_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "mirrorsync.toml").write_text(HEAD + '[bold]\n"\\u001b[31mred" = 1\n')
    done = process(tmp_path, "config", "check")
    assert done.returncode == ExitCode.CONFIG
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first == "error: mirrorsync.toml: 'bold' is not a known section"
    sections = "mirror, upstream, select, content, limits, audit, metrics, notify, purge, fastly, cloudflare"
    assert second == f"hint: known are {sections}"
