"""Tables of the figures, and the facts of the machine that they come from."""

import os
import platform
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import peers
from bench.measure import Figures
from bench.workloads import Comparison, Workload

_README: Final = Path(__file__).parent / "README.md"
_HEADING: Final = "\n## Figures\n"


def line(figures: Figures) -> str:
    return f"{figures.wall:.2f} s wall, {figures.cpu:.2f} s CPU, {figures.peak / 1e6:.0f} MB peak"


def facts(directory: Path) -> str:
    """Return what a reader needs to know about the machine to compare the figures."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = ", ".join(f"{name} {version.split()[-1]}" for name, version in peers.versions().items())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M')} · {os.cpu_count()} cores ({_processor()}) · Linux {platform.release()}"
        f" · Python {platform.python_version()} · {versions} · commit {commit(Path(__file__).parent)}"
        f" · load average at the start {load} · targets on {_file_system(directory)}"
    )


def table(workload: Workload, found: Mapping[str, Sequence[Figures]]) -> str:
    """Return a table of medians (least to most), and the ratios, pair by pair."""
    lines = [f"\n#### {workload.title}\n", "| | wall s | CPU s | peak MB |", "|---|---|---|---|"]
    for name, figures in found.items():
        columns = (
            _span([each.wall for each in figures]),
            _span([each.cpu for each in figures]),
            _span([each.peak / 1e6 for each in figures], digits=0),
        )
        lines.append(f"| {name} | {' | '.join(columns)} |")
    compared = [each for each in workload.comparisons if {each.one, each.other} <= found.keys()]
    if compared:
        lines += ["", "| ratio | wall | CPU | peak | wanted | |", "|---|---|---|---|---|---|"]
    lines += [_ratio(each, found[each.one], found[each.other]) for each in compared]
    return "\n".join(lines)


def _ratio(comparison: Comparison, one: Sequence[Figures], other: Sequence[Figures]) -> str:
    def of(value: Callable[[Figures], float]) -> list[float]:
        return [value(a) / max(value(b), 1e-9) for a, b in zip(one, other, strict=True)]

    ratios = {"wall": of(lambda figures: figures.wall), "CPU": of(lambda figures: figures.cpu)}
    wanted, verdict = "reported", ""
    if comparison.wanted is not None:
        wanted = f"{comparison.of} <= {comparison.wanted}"
        verdict = "met" if statistics.median(ratios[comparison.of]) <= comparison.wanted else "NOT MET"
    wall, cpu, peak = _span(ratios["wall"]), _span(ratios["CPU"]), _span(of(lambda figures: figures.peak))
    return f"| {comparison.one} / {comparison.other} | {wall} | {cpu} | {peak} | {wanted} | {verdict} |"


def _span(values: Sequence[float], digits: int = 2) -> str:
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def record(machine: str, tables: Sequence[str]) -> None:
    """Add the tables to bench/README.md, as the first ones below its heading."""
    before, heading, after = _README.read_text().partition(_HEADING)
    _README.write_text(f"{before}{heading}\n### {machine}\n" + "\n".join(tables) + f"\n{after}")


def profile(path: Path, shown: int) -> None:
    """Print the functions that took the most time, without and with the functions that they call."""
    stats = pstats.Stats(str(path), stream=sys.stdout)
    for order in ("tottime", "cumtime"):
        stats.sort_stats(order).print_stats(shown)
    print(f"kept as {path}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((each.partition(":")[2].strip() for each in lines if each.startswith("model name")), platform.machine())


def _file_system(directory: Path) -> str:
    done = subprocess.run(["df", "--output=fstype", str(directory)], capture_output=True, text=True, check=False)
    return done.stdout.split()[-1] if done.returncode == 0 else "?"


def commit(checkout: Path) -> str:
    words = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "?"
