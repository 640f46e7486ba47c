"""Play the cases of tests/field against mirrorsync and its rivals, for real, and print the table of README.md.

    .venv/bin/python -m bench.rivals [--python PYTHON]... [--shadowmire CHECKOUT] [--case WORDS] [--why FILE]

bandersnatch is installed from the package index that pip is configured for, once for each PYTHON (the newest
version that this Python can run). shadowmire is on no index: give the path of a git checkout, or go without.
"""

import argparse
import datetime as dt
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.field import everyday, rare
from tests.field.cases import Case, Scene
from tests.field.contender import Contender, Mirrorsync
from tests.support.pypi.published import Unreadable
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

import mirrorsync
from bench.rivals import bandersnatch, shadowmire


class Verdict(msgspec.Struct, frozen=True):
    """How a program stood a case."""

    word: str
    """What stands in the table."""
    why: tuple[str, ...] = ()


def judge(case: Case, program: type[Contender], scratch: Path) -> Verdict:
    """Play one case against one program, in directories of its own."""
    home = Path(tempfile.mkdtemp(dir=scratch))
    world = World()
    try:
        with PyPI(world) as pypi:
            mirror = program(home / "home", pypi.url)
            problems = tuple(case.play(Scene(world=world, pypi=pypi, mirror=mirror)))
    except (AssertionError, Unreadable) as trouble:
        return Verdict("**no**", (f"{trouble}"[:300],))
    except Exception as trouble:  # noqa: BLE001 - a case that cannot be judged must not be counted for or against
        return Verdict("?", (f"{type(trouble).__name__}: {trouble}"[:300],))
    finally:
        shutil.rmtree(home)
    return Verdict("**no**", problems) if problems else Verdict("yes")


def table(programs: Sequence[type[Contender]], rows: Sequence[tuple[Case, Sequence[Verdict]]]) -> str:
    """Return the table in Markdown, with the date."""
    lines = ["| case | " + " | ".join(program.title for program in programs) + " |"]
    lines.append("|---|" + "---|" * len(programs))
    lines += [
        f"| {case.sentence} | " + " | ".join(verdict.word for verdict in verdicts) + " |" for case, verdicts in rows
    ]
    stood = (sum(verdicts[number].word == "yes" for _, verdicts in rows) for number in range(len(programs)))
    lines.append("| **stood** | " + " | ".join(f"{count} of {len(rows)}" for count in stood) + " |")
    return "\n".join(lines) + f"\n\nRun on {dt.datetime.now(dt.UTC):%Y-%m-%d}, Python {sys.version.split()[0]}.\n"


def main() -> None:
    """Install, play, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="run bandersnatch under this Python, too")
    parser.add_argument("--shadowmire", type=Path, help="a git checkout of shadowmire")
    parser.add_argument("--case", default="", help="only cases whose sentence holds these words")
    parser.add_argument("--why", type=Path, help="write there what was wrong in each case")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="rivals"))
    try:
        programs: list[type[Contender]] = [
            type("Ours", (Mirrorsync,), {"title": f"mirrorsync {mirrorsync.__version__}"})
        ]
        programs += [bandersnatch.install(python, scratch) for python in arguments.python or [sys.executable]]
        if arguments.shadowmire:
            programs.append(shadowmire.install(arguments.shadowmire, sys.executable, scratch))
        rows, reasons = [], []
        for case in (*everyday.CASES, *rare.CASES):
            if arguments.case not in case.sentence:
                continue
            verdicts = [judge(case, program, scratch) for program in programs]
            rows.append((case, verdicts))
            for program, verdict in zip(programs, verdicts, strict=True):
                reasons += [f"{case.sentence}: {program.title}: {why}" for why in verdict.why]
                print(f"{verdict.word:8} {program.title}: {case.sentence}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(scratch)
    if arguments.why:
        arguments.why.write_text("\n".join(reasons) + "\n")
    print(table(programs, rows))


if __name__ == "__main__":
    main()
