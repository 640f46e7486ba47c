"""The cost of writing the root index of a mirror as large as PyPI.

.venv/bin/python -m bench.root                      750,000 projects, three times
.venv/bin/python -m bench.root --projects 20000 --gzip
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import trio

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.app.wiring import open_context
from mirrorsync.config.load import parse
from mirrorsync.observe.run_observer import Lines
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.root_index import publish_root

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- a file system in memory, on purpose
_CONFIGURATION: Final = """
[mirror]
directory = "{directory}"
contact = "bench@operator.test"
[upstream]
index = "http://127.0.0.1:9"
allow-http = true
[content]
{content}
[limits]
min-free = "0"
"""
_PROJECT: Final = """
INSERT INTO project (name, display_name, wanted_serial, content_serial, mirrored_serial, page_serial, present, status,
    etag, page_digest) VALUES (:name, :shown, :serial, :serial, :serial, :serial, 1, 'active', :etag, :digest)
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a state, write its root index several times, and print the cost of each."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(prefix="mirrorsync-root-", dir=options.directory) as directory:
        trio.run(_run, Path(directory), options)


async def _run(directory: Path, options: argparse.Namespace) -> None:
    text = _CONFIGURATION.format(directory=directory, content="gzip = true" if options.gzip else "")
    settings = parse(text, directory / "mirrorsync.toml", {})
    async with open_context(settings, Lines()) as context:
        await context.state.database.write(
            lambda connection: connection.executemany(_PROJECT, _projects(options.projects)).rowcount
        )
        await context.state.start_at(2_000_000)  # type: ignore[arg-type]  # a serial
        print(f"{options.projects:,} projects, state {state_path(directory).stat().st_size / 2**20:.0f} MiB")
        for turn in range(options.rounds):
            await _measure(context, directory / "web" / "simple", turn)


async def _measure(context: SyncContext, simple: Path, turn: int) -> None:
    """Change one project, write the root index, and print the time and memory that it took."""
    await context.state.database.write(
        lambda connection: (
            connection.execute("UPDATE mirror SET root_version = root_version + 1").rowcount
            + connection.execute("UPDATE project SET page_serial = page_serial + 1 WHERE id = 1").rowcount
        )
    )
    _reset_high_water_mark()
    before, wall, processor = _memory("VmRSS"), time.perf_counter(), time.process_time()
    await publish_root(context)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    growth = _memory("VmHWM") - before
    print(
        f"  {turn + 1}: {processor:.2f} s CPU, {wall:.2f} s wall, memory +{growth / 2**20:.1f} MiB,"
        f" {_size(simple) / 2**20:.0f} MiB on disk"
    )


def _projects(count: int) -> Iterator[dict[str, Any]]:
    """Yield rows in the order of their names, as a first sync inserts them; a fifth have another display name."""
    names = sorted(
        f"{hashlib.sha256(b'%d' % number).hexdigest()[: 5 + number % 12]}-{number}" for number in range(count)
    )
    for number, name in enumerate(names, start=1):
        shown = name if number % 5 else name.replace("-", "_").title()
        yield {
            "name": name,
            "shown": shown,
            "serial": number,
            "etag": f'"{name:.16}"',
            "digest": name.encode().ljust(32),
        }


def _reset_high_water_mark() -> None:
    """Reset the high-water mark of this process to its current memory."""
    Path("/proc/self/clear_refs").write_text("5")


def _size(simple: Path) -> int:
    """Return the bytes of the root index in all formats."""
    return sum(path.stat().st_size for path in simple.glob("index.*"))


def _memory(key: str) -> int:
    """Return one of this process's figures, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.root", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--projects", type=int, default=750_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gzip", action="store_true", help="write the compressed copies, too")
    parser.add_argument("--directory", type=Path, default=_MEMORY, help=f"parent of the mirror ({_MEMORY})")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
