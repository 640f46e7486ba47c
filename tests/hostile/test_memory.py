"""The memory that a hostile upstream can make `mirrorsync sync` use: the peak of a real process (VmHWM)."""

import gzip
import os
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.hostile.siege import NEIGHBOURS, place_in
from tests.support.process.cli import Operator, result_of
from tests.support.pypi.faults import Fault, Repeat
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_MIB: Final = 2**20
_ENTRY: Final = (
    b'{"filename":"a-1.0.tar.gz","hashes":{"sha256":"' + b"0" * 64 + b'"},"url":"https://files.test/a-1.0.tar.gz"},'
)
_ENTRIES: Final = 10_000
_HEAD: Final = b'{"meta":{"api-version":"1.4"},"name":"victim","files":['
_TAIL: Final = b"{}]}"
_MEASURED: Final = Path(os.environ.get("MIRRORSYNC_MEASURED", os.devnull))
"""Where to write the figures."""


class Peak(msgspec.Struct, frozen=True):
    """Exit code and peak memory of a run."""

    said: str
    code: int
    size: int
    """Bytes."""
    seconds: float


def _sync(operator: Operator) -> Peak:
    started, peak = time.monotonic(), 0
    with operator.doing("sync") as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            lines = status.read_text().splitlines()
            peak = max(peak, *(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
            time.sleep(0.005)
        result = result_of(process)
    return Peak(result.said, result.code, peak, time.monotonic() - started)


def _note(what: str, peak: Peak, idle: Peak) -> None:
    with _MEASURED.open("a") as notes:
        notes.write(
            f"{what}: {peak.size / _MIB:.0f} MiB (nothing wrong: {idle.size / _MIB:.0f}), {peak.seconds:.1f} s\n"
        )


@pytest.fixture
def operator(tmp_path: Path, pypi: PyPI) -> Operator:
    for name in (*NEIGHBOURS, "victim"):
        pypi.world.upload(name, "1.0", body=b"x" * 1000)
    return Operator(tmp_path, pypi)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Peak:
    """A sync of the same index without faults."""
    world = World()
    for name in (*NEIGHBOURS, "victim"):
        world.upload(name, "1.0", body=b"x" * 1000)
    with PyPI(world) as pypi:
        peak = _sync(Operator(tmp_path_factory.mktemp("idle"), pypi))
    assert peak.code == 0, peak.said
    return peak


_QUICK: Final = {"ten million entries in gzip", "just few enough brackets", "a journal of rows", "a file without end"}


def _cases(table: dict[str, Any]) -> list[Any]:
    """Return the table's rows as cases; most run in `make torture` only."""
    marks = {name: () if name in _QUICK else (pytest.mark.slow,) for name in table}
    return [pytest.param(*row, id=name, marks=marks[name]) for name, row in table.items()]


_PAGES: Final[dict[str, tuple[Fault, int]]] = {
    "ten million entries": (Repeat(_ENTRY * _ENTRIES, times=1000, head=_HEAD, tail=_TAIL), 100),
    "ten million entries in gzip": (Repeat(_ENTRY * _ENTRIES, times=1000, head=_HEAD, tail=_TAIL, gzipped=True), 100),
    "a bomb of blanks": (Repeat(b" " * 100 * _MIB, times=100, gzipped=True), 100),
    "as many brackets as fit": (Repeat(b"{}," * _ENTRIES, times=2200, head=_HEAD, tail=_TAIL), 200),
    "just few enough brackets": (Repeat(b'{"":0},' * 1000, times=995, head=_HEAD, tail=_TAIL), 450),
    "one long text": (Repeat(b"x" * _MIB, times=63, head=b'{"files":"', tail=b'"}'), 350),
}
"""By name: the victim's page, and the MiB that it may use."""


@pytest.mark.parametrize(("fault", "cost"), _cases(_PAGES))
def test_page_of_any_size_uses_bounded_memory(operator: Operator, idle: Peak, fault: Fault, cost: int) -> None:
    place_in(operator.pypi, "victim", fault)
    peak = _sync(operator)
    _note(f"page, {fault.piece[:12]!r} x {fault.times}, gzip {fault.gzipped}", peak, idle)  # type: ignore[attr-defined]  # all are Repeat
    assert peak.code == 1
    assert "victim" in peak.said
    assert all(operator.serves(name) for name in NEIGHBOURS)
    assert not operator.serves("victim")
    assert peak.size - idle.size < cost * _MIB, f"{(peak.size - idle.size) / _MIB:.0f} MiB"
    assert peak.seconds < 30


_ROW: Final = b"<value><array><data><value>a</value></data></array></value>"
_OTHERS: Final[dict[str, tuple[str, Fault, dict[str, str], int]]] = {
    "a journal of blanks": (r"^/pypi$", Repeat(b" " * 100 * _MIB, times=100, gzipped=True), {}, 100),
    "a journal of rows": (r"^/pypi$", Repeat(_ROW * 10_000, times=1000, gzipped=True), {}, 200),
    "a root list of blanks": (r"^/simple/$", Repeat(b" " * 100 * _MIB, times=100, gzipped=True), {"feed": "json"}, 100),
    "a root list of names": (
        r"^/simple/$",
        Repeat(b'{"name":"a"},' * 10_000, times=200, head=b'{"projects":[', tail=b"{}]}", gzipped=True),
        {"feed": "json"},
        150,
    ),
    "a sidecar of blanks": (r"victim.*\.metadata$", Repeat(b" " * 100 * _MIB, times=100, gzipped=True), {}, 100),
    "a sidecar without end": (r"victim.*\.metadata$", Repeat(b" " * _MIB, times=10_000), {}, 100),
    "a file without end": (r"victim.*whl$", Repeat(b" " * _MIB, times=10_000), {}, 100),
}


@pytest.mark.parametrize(("pattern", "fault", "upstream", "cost"), _cases(_OTHERS))
def test_response_of_any_size_uses_bounded_memory(
    operator: Operator, idle: Peak, pattern: str, fault: Fault, upstream: dict[str, str], cost: int
) -> None:
    operator.configure(upstream=upstream)
    operator.pypi.faults.add(pattern, fault)
    peak = _sync(operator)
    _note(f"{pattern}, {fault.piece[:12]!r} x {fault.times}", peak, idle)  # type: ignore[attr-defined]  # all are Repeat
    assert peak.code in (0, 1, 69), peak.said
    assert peak.size - idle.size < cost * _MIB, f"{(peak.size - idle.size) / _MIB:.0f} MiB: {peak.said}"
    assert peak.seconds < 60
    operator.pypi.faults.clear()
    operator.does("sync", *NEIGHBOURS, "victim")
    assert all(operator.serves(name) for name in (*NEIGHBOURS, "victim"))
    assert operator.broken_links() == []


def test_twenty_worst_case_pages_use_bounded_memory(operator: Operator, idle: Peak) -> None:
    worst, _ = _PAGES["just few enough brackets"]
    names = [f"victim-{number}" for number in range(20)]
    for name in names:
        place_in(operator.pypi, name, worst)
    peak = _sync(operator)
    _note("20 pages of the worst kind at once", peak, idle)
    assert peak.code == 1
    assert all(operator.serves(name) for name in NEIGHBOURS)
    assert peak.size < 1024 * _MIB, f"{peak.size / _MIB:.0f} MiB"


def test_the_bomb_is_a_bomb() -> None:
    assert len(gzip.compress(b" " * _MIB, compresslevel=9)) < _MIB / 900
