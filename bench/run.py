"""The side-by-side benchmark: mirrorsync against its rivals, in turns, each as a whole process.

.venv/bin/python -m bench.run                                  everything: forty minutes
.venv/bin/python -m bench.run --only small --rounds 1          one workload
.venv/bin/python -m bench.run --only small --profile           where mirrorsync's time goes there
.venv/bin/python -m bench.run --quick                          small sizes: does it still work?
.venv/bin/python -m bench.run --record                         add the tables to bench/README.md
.venv/bin/python -m bench.run --against CHECKOUT               another checkout's mirrorsync instead of the rivals
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench import measure, nginx, peers, recipes, report, upstreams
from bench.measure import Failed, Figures
from bench.peers import Home
from bench.recipes import Recipe
from bench.workloads import Contestant, Workload, against, workloads

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- a file system in memory, on purpose
_DISK: Final = Path("/var/tmp")  # noqa: S108 -- the usual one on a disk, on purpose
_SHOWN: Final = 45
"""Functions in a profile's table."""
_COMPARED: Final = ("small", "index", "index-new-key", "large", "still", "status", "changes")
"""Workloads that run by default with --against; `line` can be chosen."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if nginx.MISSING:
        raise SystemExit(f"bench {nginx.MISSING}")
    chosen = _chosen(options)
    try:
        if options.profile:
            for workload in chosen:
                _profile(workload, options)
            return
        if not (options.alone or options.against):
            peers.install_rivals()
        facts = report.facts(options.directory)
        if options.against:
            peers.compile_modules(options.against)
            facts += f" · compared with commit {report.commit(options.against)}"
        print(facts, flush=True)
        tables = [_run(workload, options) for workload in chosen]
    except (Failed, subprocess.CalledProcessError) as error:
        raise SystemExit(f"bench: {error}") from error
    if options.record:
        report.record(facts, tables)


def _run(workload: Workload, options: argparse.Namespace) -> str:
    table = report.table(workload, compete(workload, options))
    print(table, flush=True)
    return table


def compete(workload: Workload, options: argparse.Namespace) -> dict[str, list[Figures]]:
    """Run the contestants in turns, `options.rounds` times each, every other round in reverse order.

    Return each contestant's figures by round.
    """
    contestants = [each for each in workload.contestants if not (options.alone and each.rival)]
    found: dict[str, list[Figures]] = {each.name: [] for each in contestants}
    with _stage(workload, contestants, options) as (scratch, upstream):
        for turn in range(options.rounds):
            for contestant in contestants[:: -1 if turn % 2 else 1]:
                home = Home(scratch / "target", upstream(contestant.recipe), scratch / "nginx", contestant.checkout)
                figures = _one(contestant, home, scratch, wrap=lambda command: command)
                found[contestant.name].append(figures)
                print(
                    f"  {workload.key} {turn + 1}/{options.rounds} {contestant.name}: {report.line(figures)}",
                    file=sys.stderr,
                    flush=True,
                )
    return found


def _one(
    contestant: Contestant, home: Home, scratch: Path, *, wrap: Callable[[measure.Command], measure.Command]
) -> Figures:
    home.directory.mkdir()
    try:
        contestant.prepare(home)
        command = wrap(contestant.command(home))
        _settle(home.directory)
        figures = measure.run(command, scratch / "peer.log")
        contestant.check(home)
        return figures
    finally:
        shutil.rmtree(home.directory, ignore_errors=True)


def _settle(directory: Path) -> None:
    """Flush what was prepared, so that no peer waits for it."""
    subprocess.run(["sync", "--file-system", str(directory)], check=True)


def _profile(workload: Workload, options: argparse.Namespace) -> None:
    ours = workload.contestants[0]
    with _stage(workload, [ours], options) as (scratch, upstream):
        home = Home(scratch / "target", upstream(ours.recipe), scratch / "nginx")
        kept = options.work / f"{workload.key}.profile"
        figures = _one(ours, home, scratch, wrap=lambda command: peers.profiled(command, kept))
    print(f"{workload.title}: {report.line(figures)}, slowed by the profiler\n")
    report.profile(kept, _SHOWN)


@contextmanager
def _stage(
    workload: Workload, contestants: Sequence[Contestant], options: argparse.Namespace
) -> Iterator[tuple[Path, Callable[[Recipe], upstreams.Upstream]]]:
    """Make and serve the upstreams. Yield a working directory, deleted afterwards, and the upstream by recipe."""
    made = {each.recipe.name: upstreams.make(each.recipe, options.work) for each in contestants}
    for upstream in made.values():
        upstreams.warm(upstream)
    place = options.disk if workload.on_disk else options.directory
    with tempfile.TemporaryDirectory(prefix="mirrorsync-bench-", dir=place) as directory:
        scratch = Path(directory)
        with nginx.serving(list(made.values()), scratch / "nginx"):
            yield scratch, lambda recipe: made[recipe.name]


def _chosen(options: argparse.Namespace) -> list[Workload]:
    every = workloads(recipes.quick if options.quick else lambda recipe: recipe)
    known = [workload.key for workload in every]
    unknown = set(options.only or known) - set(known)
    if unknown:
        raise SystemExit(f"bench: no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    wanted = options.only or (_COMPARED if options.against else known)
    found = [workload for workload in every if workload.key in wanted]
    if not options.against:
        return found
    if not (options.against / ".venv" / "bin" / "mirrorsync").exists():
        raise SystemExit(f"bench: {options.against} has no .venv/bin/mirrorsync; run `make setup` there")
    return [against(each, options.against) for each in found]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("bench.run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WORKLOAD",
        help="small, index, index-new-key, large, still, status, changes, line, tls, durability",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each peer (3)")
    parser.add_argument(
        "--against",
        type=lambda path: Path(path).absolute(),
        metavar="CHECKOUT",
        help="compare with the mirrorsync of another checkout's .venv",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: a smoke test, whose figures mean nothing")
    parser.add_argument("--alone", action="store_true", help="mirrorsync without its rivals")
    parser.add_argument(
        "--profile", action="store_true", help="run mirrorsync once under cProfile, print where its time goes"
    )
    parser.add_argument("--record", action="store_true", help="add the tables to bench/README.md")
    parser.add_argument("--directory", type=Path, default=_MEMORY, help=f"parent of the targets ({_MEMORY})")
    parser.add_argument("--disk", type=Path, default=_DISK, help=f"parent of the targets of `durability` ({_DISK})")
    parser.add_argument("--work", type=Path, default=upstreams.WORK, help="directory that keeps the upstreams")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
