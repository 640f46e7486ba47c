"""Run the soak and print its report: `python -m tests.soak --minutes 15 --seed 1`."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.soak.report import judge, table
from tests.soak.soak import Plan, Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0, help="from the start to the end of the last fault")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="print only the report, not a line every second")
    parser.add_argument("--log", type=Path, help="copy the daemon's log to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mirrorsync-soak-") as home:
        soak = Soak(Path(home), Plan(options.minutes, options.seed), _ignore if options.quiet else _print)
        try:
            found = soak.run()
        finally:
            if options.log is not None and (log := Path(home) / "daemon.log").exists():
                options.log.write_bytes(log.read_bytes())
    print(table(found))  # noqa: T201 - the result
    return 0 if all(verdict.holds for verdict in judge(found)) else 1


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress for a person


def _ignore(_line: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
