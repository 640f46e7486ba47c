"""Runs the soak and prints what it found: `python -m tests.soak --minutes 15 --seed 1`."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.soak.report import judge, table
from tests.soak.soak import Plan, Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="from the start to the end of the last trouble")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="print the report only, not a line every second")
    parser.add_argument("--log", type=Path, help="where the daemon's own log is copied to")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mirrorsync-soak-") as home:
        soak = Soak(Path(home), Plan(options.minutes, options.seed), _nothing if options.quiet else _tell)
        try:
            found = soak.run()
        finally:
            if options.log is not None and (said := Path(home) / "daemon.log").exists():
                options.log.write_bytes(said.read_bytes())
    print(table(found))  # noqa: T201 - what it is for
    return 0 if all(verdict.holds for verdict in judge(found)) else 1


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - so that one can watch


def _nothing(_line: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
