"""The order of a sync's system calls: bytes are durable before names, names before pages, pages before records."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.support.process.cli import Operator
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_CALLS = "write,pwrite64,fdatasync,fsync,syncfs,rename,renameat,renameat2,unlinkat"
_LINE = re.compile(r"(\d+) +(.*)")
_RENAME = re.compile(r'renameat2?\(\d+<[^>]*>, "([^"]+)", \d+<[^>]*?/(web[^>]*)>, "([^"]+)".* = 0$')
WHEEL = "sample-1.0-py3-none-any.whl"


class Call(msgspec.Struct, frozen=True):
    """A system call: the lines of the trace at which it began and ended, and its text."""

    begin: int
    end: int
    text: str


def calls(trace: str) -> Iterator[Call]:
    """Yield the calls in the order in which they ended."""
    unfinished: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(trace.splitlines()):
        match = _LINE.fullmatch(line)
        assert match, line
        process, text = match.groups()
        if text.endswith("<unfinished ...>"):
            unfinished[process] = number, text.removesuffix("<unfinished ...>").rstrip()
        elif text.startswith("<... "):
            start, head = unfinished.pop(process)
            yield Call(start, number, head + text.partition(" resumed>")[2])
        elif not text.startswith(("---", "+++")):
            yield Call(number, number, text)


class Renamed(msgspec.Struct, frozen=True):
    """A temporary file that was renamed to its path."""

    call: Call
    temporary: str
    path: str


class Order:
    """Queries on a trace."""

    def __init__(self, trace: str) -> None:
        self.calls = list(calls(trace))
        self.renames = [
            Renamed(call, match[1], f"{match[2]}/{match[3]}")
            for call in self.calls
            if (match := _RENAME.match(call.text)) is not None
        ]

    def flushed_between(self, begin: int, end: int) -> bool:
        """Return whether a flush of the file system lies wholly between the two lines."""
        return self._any(lambda call: call.text.startswith("syncfs("), begin, end)

    def committed_between(self, begin: int, end: int) -> bool:
        return self._any(lambda call: "sync(" in call.text and "sqlite3-wal>" in call.text, begin, end)

    def _any(self, fits: Callable[[Call], bool], begin: int, end: int) -> bool:
        return any(fits(call) and begin < call.begin and call.end < end for call in self.calls)

    def written(self, temporary: str) -> int:
        """Return the line of the last write into a temporary file."""
        return max(call.end for call in self.calls if "write" in call.text[:9] and f"/{temporary}>" in call.text)

    def logged(self, text: str, after: int = -1) -> int:
        """Return the line of the first write into SQLite's log that holds `text`."""
        return min(
            call.end
            for call in self.calls
            if call.text.startswith("pwrite64(")
            and "sqlite3-wal>" in call.text
            and text in call.text
            and call.begin > after
        )

    def at(self, start: str) -> list[Renamed]:
        return [renamed for renamed in self.renames if renamed.path.startswith(start)]


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """The trace of a sync of one project with one wheel and its sidecar."""
    home = tmp_path_factory.mktemp("traced")
    log = home / "trace"
    traced = ["strace", "-f", "-y", "-s", "5000", "-e", f"trace={_CALLS}", "-o", str(log)]
    if shutil.which("strace") is None or subprocess.run([*traced, "true"], check=False).returncode:
        pytest.skip("strace is missing, or tracing is not permitted here")
    world = World()
    world.upload("sample", "1.0")
    with PyPI(world) as pypi:
        operator = Operator(home / "operator", pypi)
        assert operator.does("sync", under=traced).code == 0
        assert operator.problems() == []
    return Order(log.read_text(errors="replace"))


def test_data_is_durable_before_it_has_a_name(order: Order) -> None:
    assert len(order.renames) >= len(("wheel", "sidecar", "three pages", "three roots"))
    late = [
        renamed.path
        for renamed in order.renames
        if not order.flushed_between(order.written(renamed.temporary), renamed.call.begin)
    ]
    assert late == []


def test_file_name_is_durable_before_a_page_names_it(order: Order) -> None:
    files, pages = order.at("web/packages/"), order.at("web/simple/sample/")
    assert [len(files), len(pages)] == [2, 3]
    for file in files:
        for page in pages:
            assert order.flushed_between(file.call.end, page.call.begin), f"{page.path} before {file.path} is durable"


def test_file_is_recorded_before_it_has_a_name(order: Order) -> None:
    logged = order.logged(WHEEL)
    for file in order.at("web/packages/"):
        assert order.committed_between(logged, file.call.begin)


def test_page_is_durable_before_it_is_recorded(order: Order) -> None:
    last = max(page.call.end for page in order.at("web/simple/sample/"))
    recorded = order.logged("", after=last)
    assert order.flushed_between(last, recorded)
    assert order.committed_between(recorded, len(order.calls) * 3)


def test_root_index_follows_recorded_pages_and_is_durable_when_recorded(order: Order) -> None:
    pages = max(page.call.end for page in order.at("web/simple/sample/"))
    roots = [
        renamed for renamed in order.at("web/simple/index.") or order.at("web/simple/") if "sample" not in renamed.path
    ]
    assert len(roots) == 3
    assert order.committed_between(order.logged("", after=pages), min(root.call.begin for root in roots))
    last = max(root.call.end for root in roots)
    assert order.flushed_between(last, order.logged("", after=last))
