"""Run the fuzzer: `python -m tests.fuzz --inputs 1000000`; exit 1 if anything but a typed error was raised."""

import argparse
import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.fuzz.mutate import Mutator
from tests.fuzz.targets import TARGETS, Target

_LONGEST: Final = 2.0
"""Seconds that one input of at most 20,000 bytes may take; at that rate a page of 64 MiB would take hours."""
_CRASHES_MAX: Final = 5
"""Different crashes after which a target is left."""


class Score(msgspec.Struct, frozen=True):
    """The results of a target."""

    inputs: int
    taken: int
    seconds: float
    slowest: float
    """The duration of the slowest input in seconds."""
    crashes: dict[str, bytes]
    """The place and error of each crash, and the shortest input that causes it."""


def run(target: Target, inputs: int, *, seed: int, changes: Callable[[int], None] = lambda _: None) -> Score:
    """Run `target` on its seeds and then on `inputs` mutated ones; `changes` is called after each thousandth."""
    mutator = Mutator(target.recipe, seed)
    crashes: dict[str, bytes] = {}
    taken, slowest, started = 0, 0.0, time.perf_counter()
    number = 0
    for number in range(1, inputs + 1):
        data = target.recipe.seeds[number - 1] if number <= len(target.recipe.seeds) else mutator.next()
        before = time.perf_counter()
        try:
            accepted = target.check(data)
        except Exception as error:  # noqa: BLE001 - other errors are what the fuzzer looks for
            accepted, key = False, _place_of(error)
            if key not in crashes or len(data) < len(crashes[key]):
                crashes[key] = data
        slowest = max(slowest, elapsed := time.perf_counter() - before)
        if elapsed > _LONGEST:
            crashes.setdefault(f"takes {elapsed:.1f} s", data)
        if accepted:
            taken += 1
            mutator.accepted(data)
        if number % 1000 == 0:
            changes(number)
        if len(crashes) >= _CRASHES_MAX:
            break
    return Score(number, taken, time.perf_counter() - started, slowest, crashes)


def _place_of(error: Exception) -> str:
    ours = ("require", "require_message")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name not in ours]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {where}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets and print a line for each."""
    options = _options(arguments)
    chosen = [target for target in TARGETS if not options.target or target.name in options.target]
    if options.engine == "atheris":
        return _run_atheris(chosen, options)
    told = [
        _report(target, run(target, max(1, options.inputs // len(chosen)), seed=options.seed), options.crashes)
        for target in chosen
    ]
    inputs, seconds = sum(score.inputs for score in told), sum(score.seconds for score in told)
    crashes = sum(len(score.crashes) for score in told)
    _print(f"{'all':10} {inputs:>10,} inputs {inputs / seconds:>9,.0f}/s  {seconds:8.1f} s  {crashes} kinds of crash")
    return 1 if crashes else 0


def _report(target: Target, score: Score, folder: Path | None) -> Score:
    _print(
        f"{target.name:10} {score.inputs:>10,} inputs {score.inputs / score.seconds:>9,.0f}/s  {score.seconds:8.1f} s"
        f"  {score.taken / score.inputs:6.1%} taken  slowest {score.slowest * 1000:6.1f} ms"
        f"  {len(score.crashes)} crashes"
    )
    for key, data in score.crashes.items():
        _print(f"    {key}\n      {data[:200]!r}{'…' if len(data) > 200 else ''} ({len(data):,} bytes)")
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{target.name}-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
    return score


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    default = int(os.environ.get("MIRRORSYNC_FUZZ_INPUTS", "1000000"))
    parser.add_argument("--inputs", type=int, default=default, help="over all targets (default %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same inputs for the same seed")
    parser.add_argument("--target", action="append", choices=[target.name for target in TARGETS])
    parser.add_argument("--crashes", type=Path, help="a folder for inputs that crashed")
    parser.add_argument("--engine", choices=("tokens", "atheris"), default="tokens", help="atheris follows coverage")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    _print(f"seed {options.seed}")
    return options


def _run_atheris(targets: Sequence[Target], options: argparse.Namespace) -> int:
    """Run each target in its own process, because libFuzzer ends its process; each gets a share of the inputs."""
    if importlib.util.find_spec("atheris") is None:
        _print("atheris is not installed: pip install atheris")
        return 2
    if options.inside:
        _fuzz_with_atheris(targets[0], options)
    share = str(max(1, options.inputs // len(targets)))
    if options.crashes is not None:
        options.crashes.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--engine", "atheris", "--inside", "--seed", str(options.seed)]
    command += ["--crashes", str(options.crashes)] if options.crashes is not None else []
    codes = [subprocess.run([*command, "--inputs", share, "--target", target.name], check=False) for target in targets]
    return 1 if any(code.returncode for code in codes) else 0


def _fuzz_with_atheris(target: Target, options: argparse.Namespace) -> None:
    atheris: Any = importlib.import_module("atheris")
    mutator = Mutator(target.recipe, options.seed)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 2:
            return bytes(atheris.Mutate(data, max_size))
        return mutator.next()[:max_size]

    atheris.instrument_all()
    flags = [f"-runs={options.inputs}", f"-seed={options.seed % 2**31}", "-max_len=20000", "-print_final_stats=1"]
    flags += ["-verbosity=0", f"-artifact_prefix={options.crashes or tempfile.mkdtemp(prefix='fuzz-')}/"]
    atheris.Setup(["fuzz", *flags], target.check, custom_mutator=change)
    atheris.Fuzz()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
