"""The units in systemd/ are ones that systemd accepts, and they say what docs/operations.md promises."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mirrorsync.errors import ExitCode

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir())
SERVICES = [name for name in UNITS if name.endswith(".service")]
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed (package systemd)")
INSTALLED = "/opt/mirrorsync/bin/mirrorsync"


def setting(unit: str, section: str, key: str) -> str:
    """One that is repeated has its last value."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.read(FOLDER / unit)
    return parser.get(section, key)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def installed_units(tmp_path: Path) -> Path:
    """Every unit as it would stand on a machine where mirrorsync is installed: here /opt is another program."""
    for name in UNITS:
        text = (FOLDER / name).read_text().replace(INSTALLED, sys.executable)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_there_is_a_daemon_and_a_one_shot_pair() -> None:
    assert {"mirrorsync.service", "mirrorsync-sync.service", "mirrorsync-sync.timer"} <= set(UNITS)


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_against_the_unit(name: str, installed_units: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=yes", str(installed_units / name))
    complaints = [line for line in done.stderr.splitlines() if str(installed_units) in line or "mirrorsync" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_rates_the_service_as_well_confined(name: str, installed_units: Path) -> None:
    done = analyze("security", "--offline=yes", "--threshold=25", "--no-pager", str(installed_units / name))
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_write_to_the_mirror_and_to_nothing_else(name: str) -> None:
    assert setting(name, "Service", "ProtectSystem") == "strict"
    assert setting(name, "Service", "ReadWritePaths") == "/srv/pypi"


@pytest.mark.parametrize("name", SERVICES)
def test_a_web_server_of_another_user_may_read_what_a_service_publishes(name: str) -> None:
    assert setting(name, "Service", "UMask") == "0022"


@pytest.mark.parametrize(("name", "command"), [("mirrorsync.service", "run"), ("mirrorsync-sync.service", "sync")])
def test_a_service_starts_the_installed_command(name: str, command: str) -> None:
    assert setting(name, "Service", "ExecStart") == f"{INSTALLED} {command}"


def test_the_daemon_is_not_restarted_for_what_only_a_person_can_mend() -> None:
    never = {int(code) for code in setting("mirrorsync.service", "Service", "RestartPreventExitStatus").split()}
    assert never == {ExitCode.USAGE, ExitCode.CONFIG}


def test_the_daemon_is_restarted_forever_and_at_most_once_a_minute() -> None:
    assert setting("mirrorsync.service", "Service", "Restart") == "on-failure"
    assert int(setting("mirrorsync.service", "Service", "RestartSec")) >= 60
    assert setting("mirrorsync.service", "Unit", "StartLimitIntervalSec") == "0"


def test_a_pass_that_meets_a_running_one_is_no_failure() -> None:
    assert int(setting("mirrorsync-sync.service", "Service", "SuccessExitStatus")) == ExitCode.ALREADY_RUNNING


def test_a_first_pass_of_days_is_not_killed_by_a_start_timeout() -> None:
    assert setting("mirrorsync-sync.service", "Service", "TimeoutStartSec") == "infinity"


def test_the_timer_starts_a_service_that_exists() -> None:
    assert setting("mirrorsync-sync.timer", "Timer", "Unit") in UNITS
