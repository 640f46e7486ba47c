"""The report of a soak: verdicts, and a table."""

import signal
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from mirrorsync.errors import ExitCode
from tests.soak.daemon import Life
from tests.soak.soak import LAG_LIMIT, Findings, Sample

_MINUTE: Final = 60.0
_GROWTH: Final = 1.1
"""Allowed ratio of the memory at the end to that after the warm-up."""
_SPREAD: Final = 2
"""Additional descriptors that are not a leak."""
_LOOKED_AT: Final = 10
"""Samples whose median counts."""


class Verdict(msgspec.Struct, frozen=True):
    """One claim, and whether it holds."""

    what: str
    seen: str
    holds: bool


def judge(found: Findings) -> list[Verdict]:
    """Return all claims."""
    return [*_truth(found), _lag(found), _memory(found), _descriptors(found), *_alerts(found), _end(found)]


def table(found: Findings) -> str:
    """Return the report in Markdown."""
    verdicts = judge(found)
    plan = found.plan
    seconds = found.samples[-1].at if found.samples else 0.0
    lines = [
        f"Soak of {plan.minutes:g} min ({seconds:.0f} s in all), seed {plan.seed}:",
        f"{sum(found.changes.values())} changes, {found.requests} requests, {len(found.lives)} processes.",
        "",
        "| claim | seen | |",
        "|---|---|---|",
        *(f"| {verdict.what} | {verdict.seen} | {'ok' if verdict.holds else '**FAILED**'} |" for verdict in verdicts),
        "",
        "| fault | times | seconds | highest lag |",
        "|---|---:|---:|---:|",
        *_incidents(found),
        "",
        "| alert | fired | seconds | clear at the end |",
        "|---|---:|---:|---|",
        *(
            f"| {name} | {record.fired} | {record.seconds:.0f} | {'no' if record.is_firing else 'yes'} |"
            for name, record in found.alerts.items()
        ),
        "",
        "| process | lived | ended | RSS young, last, peak (MiB) | descriptors first, last | threads |",
        "|---:|---:|---|---|---|---:|",
        *_lives(found.lives),
        "",
        *(f"Unmet for more than a minute: {name}: {why}" for name, why in found.held_up.items()),
    ]
    return "\n".join(lines)


def _truth(found: Findings) -> Iterator[Verdict]:
    problems, violations = found.problems, found.violations
    yield Verdict("final tree equals upstream", "; ".join(problems[:3]) or "no difference", not problems)
    seen = "; ".join(violations[:3]) or f"no violation in {found.reader_passes} passes"
    yield Verdict("every link resolved at every instant", seen, not violations and found.reader_passes > 0)
    caught_up = "never" if found.caught_up is None else f"{found.caught_up:.0f} s"
    yield Verdict("complete after the last change", caught_up, found.caught_up is not None)


def _lag(found: Findings) -> Verdict:
    what = f"lag below {LAG_LIMIT:g} s within a minute of the end"
    if found.lag_fell is None:
        return Verdict(what, "never", holds=False)
    took = found.lag_fell - found.incidents_ended
    highest = max((sample.lag or 0.0 for sample in found.samples), default=0.0)
    return Verdict(what, f"after {took:.0f} s; highest {highest:.0f} s", took <= _MINUTE)


def _memory(found: Findings) -> Verdict:
    first, last = _calm(found)
    before, after = (statistics.median(sample.resident or 0 for sample in part) / 1024 for part in (first, last))
    peak = max((vitals.peak for life in found.lives for vitals in life.vitals), default=0) / 1024
    lived = found.lives[-1].seconds if found.lives else 0.0
    seen = (
        f"{before:.1f} MiB after the warm-up, {after:.1f} MiB at the end of a process of {lived:.0f} s;"
        f" highest {peak:.1f} MiB"
    )
    return Verdict("RSS flat", seen, after <= before * _GROWTH)


def _descriptors(found: Findings) -> Verdict:
    first, last = _calm(found)
    before, after = (statistics.median(sample.descriptors or 0 for sample in part) for part in (first, last))
    highest = max((sample.descriptors or 0 for sample in found.samples), default=0)
    seen = f"{before:g} after the warm-up, {after:g} at the end; highest {highest}"
    return Verdict("no descriptor leak", seen, after <= before + _SPREAD)


def _calm(found: Findings) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return the last samples of the warm-up, and the last samples before the changes stopped."""
    began = found.plan.warm_up
    alive = [sample for sample in found.samples if sample.resident is not None]
    first = [sample for sample in alive if sample.at <= began][-_LOOKED_AT:]
    return first, [sample for sample in alive if sample.changes][-_LOOKED_AT:]


def _alerts(found: Findings) -> Iterator[Verdict]:
    silent = [name for name, record in found.alerts.items() if not record.fired]
    stuck = [name for name, record in found.alerts.items() if record.is_firing]
    failures = [f"{', '.join(silent)} never fired"] * bool(silent) + [f"{', '.join(stuck)} still fire"] * bool(stuck)
    yield Verdict("every alert fired and cleared", "; ".join(failures) or f"all {len(found.alerts)}", not failures)


def _end(found: Findings) -> Verdict:
    unexpected = [life.code for life in found.lives[:-1] if not _end_was_expected(life)]
    last = found.lives[-1].code if found.lives else None
    holds = not unexpected and last == ExitCode.OK and not found.failures
    restarts, killed = len(found.lives) - 1, sum(life.was_killed for life in found.lives)
    seen = (
        f"restarted {restarts} times, {killed} of them killed, other codes {unexpected}, last code {last};"
        f" {'; '.join(found.failures)}"
    )
    return Verdict("ended only when killed or without disk space, stopped on SIGTERM", seen.removesuffix("; "), holds)


def _end_was_expected(life: Life) -> bool:
    return life.code == ExitCode.CANNOT_WRITE or (life.was_killed and life.code == -signal.SIGKILL)


def _incidents(found: Findings) -> Iterator[str]:
    for name in sorted({incident.kind.name for incident in found.incidents}):
        incidents = [incident for incident in found.incidents if incident.kind.name == name]
        lags = [sample.lag for sample in found.samples if name in sample.incidents and sample.lag is not None]
        seconds = sum(incident.ends - incident.begins for incident in incidents)
        yield f"| {name} | {len(incidents)} | {seconds:.0f} | {max(lags, default=0.0):.0f} s |"


def _lives(lives: Sequence[Life]) -> Iterator[str]:
    for life in lives:
        if life.seconds < _MINUTE and life is not lives[-1]:
            continue  # killed, or out of disk space
        young = [vitals for vitals in life.vitals if vitals.age <= _MINUTE][-_LOOKED_AT:]
        last = life.vitals[-_LOOKED_AT:]
        if not last:
            continue
        resident = [statistics.median(vitals.resident for vitals in part) / 1024 for part in (young, last)]
        descriptors = [statistics.median(vitals.descriptors for vitals in part) for part in (young, last)]
        yield (
            f"| {life.process} | {life.seconds:.0f} s | {life.code} | {resident[0]:.1f}, {resident[1]:.1f},"
            f" {last[-1].peak / 1024:.1f} | {descriptors[0]:g}, {descriptors[1]:g} | {last[-1].threads} |"
        )
