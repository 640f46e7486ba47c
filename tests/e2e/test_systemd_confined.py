"""From start to end, a daemon makes no system call that the units forbid.

No systemd confines the daemon in this test: strace records its calls, and each is checked against the unit's settings.
"""

import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache

import msgspec
import pytest

from tests.support.process.cli import Operator
from tests.support.process.launch import finish, running, wait_until
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World
from tests.unit.test_systemd import setting, settings

_CAN_TRACE = bool(shutil.which("strace") and shutil.which("systemd-analyze"))
pytestmark = pytest.mark.skipif(not _CAN_TRACE, reason="strace or systemd is not installed")

_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed)")
_ROOT_ONLY = {"fchown"} if os.geteuid() == 0 else set()
"""SQLite changes the owner of its journal only as root; the unit's user is not root."""


class Trace(msgspec.Struct, frozen=True):
    """The trace of a daemon from start to end."""

    operator: Operator
    lines: list[str]

    @property
    def calls(self) -> Counter[str]:
        return Counter(match[1] for line in self.lines if (match := _CALL.match(line)))

    def of(self, *names: str) -> list[str]:
        return [line for line in self.lines if (match := _CALL.match(line)) and match[1] in names]


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trace]:
    """A daemon that downloads small and large files, serves a change, reloads, removes a project and stops."""
    world = World()
    world.upload("alpha", "1.0")
    world.upload("large", "1.0", body=b"z" * 600_000)
    home = tmp_path_factory.mktemp("traced")
    output = home / "trace"
    with PyPI(world) as pypi:
        operator = Operator(home / "site", pypi)
        strace = ["strace", "-f", "-qq", "-o", str(output), "--seccomp-bpf", "-e", "trace=all"]
        with running(operator.begins("run", under=strace)) as process:
            wait_until(lambda: operator.serves("large"), "the first projects are served", 40)
            daemon = int(output.read_text().split(maxsplit=1)[0])
            operator.configure(content={"gzip": True, "legacy-json": True})
            os.kill(daemon, signal.SIGHUP)
            sibling = operator.web / "simple" / "alpha" / "index.v1_json.gz"
            wait_until(sibling.exists, "the new configuration is in force", 40)
            world.remove_project("alpha")
            wait_until(lambda: not operator.serves("alpha"), "a removed project is gone", 40)
            os.kill(daemon, signal.SIGTERM)
            assert finish(process, 40).code == 0
        yield Trace(operator, output.read_text().splitlines())


@cache
def members(name: str) -> frozenset[str]:
    """Return the system calls in a set of systemd, or `name` itself."""
    if not name.startswith("@"):
        return frozenset({name})
    shown = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True
    ).stdout
    listed = [line.strip() for line in shown.splitlines()[1:]]
    return frozenset().union(*(members(one) for one in listed if one and not one.startswith("#")))


def test_all_system_calls_are_allowed_by_the_unit(trace: Trace) -> None:
    allowed: set[str] = set()
    for words in settings("mirrorsync.service", "Service", "SystemCallFilter"):
        listed = frozenset().union(*(members(name) for name in words.removeprefix("~").split()))
        allowed = allowed - listed if words.startswith("~") else allowed | listed
    assert len(trace.calls) > 50
    assert set(trace.calls) - allowed - _ROOT_ONLY == set()


def test_no_memory_is_writable_and_executable(trace: Trace) -> None:
    maps = trace.of("mmap", "mprotect", "pkey_mprotect")
    assert len(maps) > 100
    assert [line for line in maps if "PROT_WRITE" in line and "PROT_EXEC" in line] == []
    assert [line for line in maps if "mprotect(" in line and "PROT_EXEC" in line] == []


def test_nothing_is_written_outside_the_mirror_directory(trace: Trace) -> None:
    assert setting("mirrorsync.service", "Service", "ReadWritePaths") == "/srv/pypi"
    writing = [
        line for line in trace.of("open", "openat", "creat", "mkdir") if re.search(r"O_WRONLY|O_RDWR|O_CREAT", line)
    ]
    paths = [match[1] for line in writing if (match := re.search(r'"(/[^"]*)"', line)) and "= -1" not in line]
    assert paths
    elsewhere = {path for path in paths if not path.startswith(str(trace.operator.directory))}
    # The unit writes no bytecode, because its installation is read-only, and no coverage.
    ours = ("__pycache__", "/.coverage.")
    assert {path for path in elsewhere if path != "/dev/null" and not any(word in path for word in ours)} == set()


def test_only_own_processes_are_read_in_proc(trace: Trace) -> None:
    read = {match[1] for line in trace.of("open", "openat") if (match := re.search(r'"/proc/([^"/]*)', line))}
    assert {name for name in read if not (name.isdecimal() or name in ("self", "thread-self"))} == set()


def test_only_allowed_address_families_are_used(trace: Trace) -> None:
    made = {match[1] for line in trace.of("socket", "socketpair") if (match := re.search(r"\((\w+)", line))}
    assert made <= set(setting("mirrorsync.service", "Service", "RestrictAddressFamilies").split()) | {"AF_NETLINK"}


def test_threads_and_descriptors_stay_far_below_the_units_limits(trace: Trace) -> None:
    threads = {line.split(maxsplit=1)[0] for line in trace.lines}
    assert len(threads) < int(setting("mirrorsync.service", "Service", "TasksMax")) / 2
