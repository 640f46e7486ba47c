"""systemd accepts the units in systemd/, and they do what docs/operations.md describes."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mirrorsync.app.daemon import GRACE
from mirrorsync.errors import ExitCode

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [name for name in UNITS if name.endswith(".service")]
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed (package systemd)")
INSTALLED = "/opt/mirrorsync/bin/mirrorsync"


def settings(unit: str, section: str, key: str) -> list[str]:
    """Return every value of a setting, in file order."""
    here, values = "", []
    for line in (FOLDER / unit).read_text().splitlines():
        if line.startswith("["):
            here = line.strip("[]")
        elif here == section and line.startswith(f"{key}="):
            values.append(line.partition("=")[2])
    return values


def setting(unit: str, section: str, key: str) -> str:
    """Return the value of a setting; the last one where it is repeated."""
    return settings(unit, section, key)[-1]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def installed_units(tmp_path: Path) -> Path:
    """Return a folder with the units, whose ExecStart names a program that exists on this machine."""
    for name in UNITS:
        text = (FOLDER / name).read_text().replace(INSTALLED, sys.executable)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_units_exist_for_the_daemon_and_for_timed_passes() -> None:
    assert {"mirrorsync.service", "mirrorsync-sync.service", "mirrorsync-sync.timer"} <= set(UNITS)


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_analyze_verify_accepts_the_unit(name: str, installed_units: Path) -> None:
    done = analyze("verify", "--man=no", "--recursive-errors=yes", str(installed_units / name))
    complaints = [line for line in done.stderr.splitlines() if str(installed_units) in line or "mirrorsync" in line]
    assert complaints == []
    assert done.returncode == 0, done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_systemd_analyze_rates_the_service_below_the_threshold(name: str, installed_units: Path) -> None:
    done = analyze("security", "--offline=yes", "--threshold=15", "--no-pager", str(installed_units / name))
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_service_exposes_only_what_a_mirror_needs(name: str, installed_units: Path) -> None:
    shown = analyze("security", "--offline=yes", "--no-pager", str(installed_units / name)).stdout
    exposed = {line.split()[1] for line in shown.splitlines() if line.startswith("✗")}
    assert exposed <= {
        "RootDirectory=/RootImage=",
        "RestrictAddressFamilies=~AF_UNIX",  # sd_notify
        "RestrictAddressFamilies=~AF_(INET|INET6)",
        "PrivateNetwork=",
        "IPAddressDeny=",
        "DeviceAllow=",  # ProtectClock= allows reading the clock
        "UMask=",  # published files are world-readable
    }


@pytest.mark.parametrize("name", SERVICES)
def test_service_can_write_only_into_the_mirror(name: str) -> None:
    assert setting(name, "Service", "ProtectSystem") == "strict"
    assert setting(name, "Service", "ReadWritePaths") == "/srv/pypi"


@pytest.mark.parametrize("name", SERVICES)
def test_web_server_of_another_user_can_read_published_files(name: str) -> None:
    assert setting(name, "Service", "UMask") == "0022"


@pytest.mark.parametrize(("name", "command"), [("mirrorsync.service", "run"), ("mirrorsync-sync.service", "sync")])
def test_service_starts_the_installed_command(name: str, command: str) -> None:
    assert setting(name, "Service", "ExecStart") == f"{INSTALLED} {command}"


def test_systemd_does_not_restart_the_daemon_after_usage_or_config_errors() -> None:
    never = {int(code) for code in setting("mirrorsync.service", "Service", "RestartPreventExitStatus").split()}
    assert never == {ExitCode.USAGE, ExitCode.CONFIG}


def test_systemd_restarts_the_daemon_forever_once_a_minute() -> None:
    assert setting("mirrorsync.service", "Service", "Restart") == "on-failure"
    assert int(setting("mirrorsync.service", "Service", "RestartSec")) >= 60
    assert setting("mirrorsync.service", "Unit", "StartLimitIntervalSec") == "0"


def test_daemon_unit_uses_notify_reload_and_watchdog() -> None:
    assert setting("mirrorsync.service", "Service", "Type") == "notify"
    assert setting("mirrorsync.service", "Service", "NotifyAccess") == "main"
    assert setting("mirrorsync.service", "Service", "ExecReload") == "/bin/kill -HUP $MAINPID"
    minutes = int(setting("mirrorsync.service", "Service", "WatchdogSec").removesuffix("min"))
    assert 60 * minutes >= 300


def test_stop_timeout_is_longer_than_the_daemons_grace() -> None:
    assert int(setting("mirrorsync.service", "Service", "TimeoutStopSec")) > GRACE


@pytest.mark.parametrize("name", SERVICES)
def test_services_limit_malloc_to_one_arena(name: str) -> None:
    assert "MALLOC_ARENA_MAX=1" in settings(name, "Service", "Environment")


def test_both_services_have_the_same_sandbox() -> None:
    confinement = [
        (FOLDER / name).read_text().partition("MemoryMax=")[2].partition("[Install]")[0] for name in SERVICES
    ]
    assert confinement[0].split() == confinement[1].split() != []


def written(folder: Path, name: str) -> list[list[str]]:
    return [line.split(":") for line in (folder / "etc" / name).read_text().splitlines()]


@needs_systemd
def test_sysusers_and_tmpfiles_create_what_the_units_name(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for command in ("systemd-sysusers", "systemd-tmpfiles"):
        action = ["--create"] if command == "systemd-tmpfiles" else []
        file = FOLDER / f"mirrorsync.{command.removeprefix('systemd-')}.conf"
        done = subprocess.run(
            [command, f"--root={tmp_path}", *action, str(file)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Failed" in done.stderr) == (0, False), done.stderr
    [user] = written(tmp_path, "passwd")
    assert user[0] == setting("mirrorsync.service", "Service", "User")
    assert user[6] == "/usr/sbin/nologin"
    assert [group[0] for group in written(tmp_path, "group")] == [setting("mirrorsync.service", "Service", "Group")]
    mirror = tmp_path / setting("mirrorsync.service", "Service", "ReadWritePaths").removeprefix("/")
    config = tmp_path / settings("mirrorsync.service", "Service", "Environment")[0].partition("=/")[2]
    for folder, owner in ((mirror, int(user[2])), (config.parent, 0)):
        info = folder.stat()
        assert (info.st_uid, info.st_mode & 0o777) == (owner, 0o755)


@needs_systemd
def test_systemd_sysusers_accepts_its_file() -> None:
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(FOLDER / "mirrorsync.sysusers.conf")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "mirrorsync.sysusers.conf" not in done.stderr


def test_pass_that_is_refused_or_stopped_counts_as_success() -> None:
    codes = setting("mirrorsync-sync.service", "Service", "SuccessExitStatus").split()
    assert set(map(int, codes)) == {ExitCode.ALREADY_RUNNING, 128 + signal.SIGTERM}


def test_start_timeout_does_not_kill_a_first_pass_of_days() -> None:
    assert setting("mirrorsync-sync.service", "Service", "TimeoutStartSec") == "infinity"


def test_timer_starts_an_existing_service() -> None:
    assert setting("mirrorsync-sync.timer", "Timer", "Unit") in UNITS
