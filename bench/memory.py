"""Peak memory of a `mirrorsync sync` process: one file of 1 GiB, and 10,000 small files.

.venv/bin/python -m bench.memory
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

MIRRORSYNC = str(Path(sys.executable).with_name("mirrorsync"))


def one_large() -> World:
    world = World()
    world.upload("large", "1.0", filename="large-1.0.tar.gz", content=bytes(2**30), metadata=None)
    return world


def many_small() -> World:
    world = World()
    noise = random.Random(1)
    for number in range(10_000):
        world.upload(
            f"small-{number // 10}",
            f"{number % 10}.0",
            filename=f"small_{number // 10}-{number % 10}.0.tar.gz",
            content=noise.randbytes(noise.randrange(1_000, 80_000)),
            metadata=None,
        )
    return world


def measure(name: str, world: World, directory: Path) -> None:
    with PyPI(world) as pypi:
        (directory / "mirror").mkdir(parents=True)
        configuration = directory / "mirrorsync.toml"
        configuration.write_text(
            f'[mirror]\ndirectory = "{directory}/mirror"\ncontact = "bench@operator.test"\n'
            f'[upstream]\nindex = "{pypi.url}"\nallow-http = true\n[limits]\nmin-free = "0"\n'
        )
        begun = time.monotonic()
        process = subprocess.Popen([MIRRORSYNC, "sync", "--config", str(configuration)], stderr=subprocess.DEVNULL)
        peak = 0
        while process.poll() is None:
            peak = high_water(process.pid) or peak
            time.sleep(0.02)
    seconds = time.monotonic() - begun
    print(f"{name}: exit {process.returncode}, peak RSS {peak / 2**20:.0f} MiB, {seconds:.1f} s wall")


def high_water(pid: int) -> int:
    """Return the process's own peak in bytes; the figure of wait4 includes its parent, which holds the world."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0][1]) * 1024 if lines else 0


def main() -> None:
    place = sys.argv[1] if len(sys.argv) > 1 else None
    for name, make in (("one file of 1 GiB", one_large), ("10,000 files of 1 to 80 kB", many_small)):
        with tempfile.TemporaryDirectory(prefix="mirrorsync-memory-", dir=place) as directory:
            measure(name, make(), Path(directory))


if __name__ == "__main__":
    main()
