"""Play the cases of tests/field against mirrorsync and its rivals, and write the table of docs/comparison.md.

    .venv/bin/python -m bench.rivals [--python PYTHON]... [--shadowmire CHECKOUT] [--case WORDS] [--why FILE]

bandersnatch is installed from the package index that pip is configured for, once for each PYTHON, in the newest
version for it. shadowmire is on no index: pass the path of a git checkout, or leave it out. With --case the table is
only printed.
"""

import argparse
import datetime as dt
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from tests.field import everyday, rare
from tests.field.cases import Case, Scene
from tests.field.contender import Contender, Mirrorsync
from tests.support.oracle.pages import UnreadablePage
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

import mirrorsync
from bench.rivals import bandersnatch, shadowmire

_DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "comparison.md"
_BEGIN: Final = "<!-- bench.rivals replaces everything between these two comments. -->\n"
_END: Final = "<!-- end -->\n"


class Verdict(msgspec.Struct, frozen=True):
    """The result of one program in one case."""

    word: str
    """The cell of the table."""
    why: tuple[str, ...] = ()


def judge(case: Case, program: type[Contender], scratch: Path) -> Verdict:
    """Play one case against one program, in new directories."""
    home = Path(tempfile.mkdtemp(dir=scratch))
    world = World()
    try:
        with PyPI(world) as pypi:
            mirror = program(home / "home", pypi.url)
            problems = tuple(case.play(Scene(world=world, pypi=pypi, mirror=mirror)))
    except (AssertionError, UnreadablePage) as trouble:
        return Verdict("**no**", (f"{trouble}"[:300],))
    except Exception as trouble:  # noqa: BLE001 - a case that cannot be judged must not count for or against a program
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
    passed = (sum(verdicts[number].word == "yes" for _, verdicts in rows) for number in range(len(programs)))
    lines.append("| **passed** | " + " | ".join(f"{count} of {len(rows)}" for count in passed) + " |")
    return "\n".join(lines) + f"\n\nRun on {dt.datetime.now(dt.UTC):%Y-%m-%d}, Python {sys.version.split()[0]}.\n"


def replace_table(written: str) -> None:
    """Put the table into docs/comparison.md, between its two comments."""
    before, _, rest = _DOCUMENT.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _DOCUMENT.write_text(f"{before}{_BEGIN}{written}{_END}{after}")


def main() -> None:
    """Install the programs, play the cases, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="run bandersnatch on this Python")
    parser.add_argument("--shadowmire", type=Path, help="a git checkout of shadowmire")
    parser.add_argument("--case", default="", help="only cases whose sentence contains these words")
    parser.add_argument("--why", type=Path, help="write the reason for each failure to this file")
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
    written = table(programs, rows)
    print(written)
    if not arguments.case:
        replace_table(written)


if __name__ == "__main__":
    main()
