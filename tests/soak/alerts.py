"""Monitoring of the daemon under test: scrape its metrics and evaluate alerts.

`NAMES` is the only place that names metrics. The alerts are those of docs/monitoring/mirrorsync.rules.yml, with seconds
instead of minutes and hours.
"""

import itertools
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client.parser import text_string_to_metric_families


class Metric(msgspec.Struct, frozen=True):
    """A metric, as the sum of its samples."""

    name: str
    only: str = ""
    """If not empty, only samples with a label value that matches this pattern count."""


NAMES: Final[Mapping[str, Metric]] = {
    "lag": Metric("mirrorsync_lag_seconds"),
    "behind": Metric("mirrorsync_behind_seconds"),
    "observed": Metric("mirrorsync_observed_timestamp_seconds"),
    "unmet": Metric("mirrorsync_unmet_projects"),
    "complete": Metric("mirrorsync_complete_timestamp_seconds"),
    "failing since": Metric("mirrorsync_failing_since_timestamp_seconds"),
    "polled": Metric("mirrorsync_polled_timestamp_seconds"),
    "requests": Metric("mirrorsync_upstream_requests_total"),
    "failed requests": Metric("mirrorsync_upstream_requests_total", only="none|429|5.."),
    "held": Metric("mirrorsync_trouble", only="removals|root_list"),
    "free": Metric("mirrorsync_disk_free_bytes"),
    "min free": Metric("mirrorsync_disk_min_free_bytes"),
    "halted": Metric("mirrorsync_halted"),
    "last run halted": Metric("mirrorsync_last_run_halted"),
    "started": Metric("mirrorsync_start_timestamp_seconds"),
}
_TIMEOUT: Final = 2.0
"""Seconds for one scrape, like scrape_timeout."""


class Scrape(msgspec.Struct, frozen=True):
    """The result of one scrape of the daemon's listener."""

    at: float
    """Seconds since the epoch."""
    is_up: bool
    is_ready: bool = False
    values: Mapping[str, float] = {}
    """By the short names of `NAMES`; absent where the daemon does not export it."""


def scrape(base: str, textfile: Path, now: float) -> Scrape:
    """Scrape the listener at `base`; if nothing listens, read the textfile that the last process left."""
    metrics = _get(f"{base}/metrics")
    if metrics is None:
        left = textfile.read_text() if textfile.exists() else ""
        return Scrape(now, is_up=False, values=_values(left))
    return Scrape(now, is_up=True, is_ready=_get(f"{base}/readyz") is not None, values=_values(metrics))


def _values(metrics: str) -> dict[str, float]:
    samples = [sample for family in text_string_to_metric_families(metrics) for sample in family.samples]
    values: dict[str, float] = {}
    for short, metric in NAMES.items():
        found = [
            sample.value
            for sample in samples
            if sample.name == metric.name
            and (not metric.only or any(re.fullmatch(metric.only, value) for value in sample.labels.values()))
        ]
        if found:
            values[short] = sum(found)
    return values


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 - our own daemon on loopback
            body: bytes = answer.read()
            return body.decode()
    except (urllib.error.URLError, OSError):
        return None


Window = Sequence[Scrape]
"""The scrapes of the last seconds, newest last; never empty."""


def _increase(window: Window, name: str) -> float:
    """Return by how much a counter grew; a new process starts at zero."""
    found = [seen.values[name] for seen in window if name in seen.values]
    return sum(max(0.0, after - before) for before, after in itertools.pairwise(found))


def _newest(window: Window, name: str, otherwise: float = 0.0) -> float:
    return window[-1].values.get(name, otherwise)


def _age(window: Window, name: str) -> float:
    """Return the age of a time stamp in seconds, 0 where it is not exported."""
    now = window[-1].at
    return now - _newest(window, name, now)


def _share_of_failed(window: Window) -> float:
    return _increase(window, "failed requests") / max(1.0, _increase(window, "requests"))


def _starts(window: Window) -> int:
    """Return the number of restarts. Textfiles do not count: they may be those of a process that ended long ago."""
    return len({seen.values["started"] for seen in window if seen.is_up and "started" in seen.values}) - 1


FRESH_WITHIN: Final = 15.0
"""Seconds of lag up to which the daemon is configured to be ready."""
_WINDOW: Final = 15.0
"""Seconds that a condition looks back, where the rules have [15m]."""


class Alert(msgspec.Struct, frozen=True):
    """A condition that pages an operator once it has held for a while."""

    name: str
    holds: Callable[[Window], bool]
    seconds: float
    """How long it must hold."""
    needs_disk: bool = False
    looks_back: float = _WINDOW
    """Seconds."""


ALERTS: Final[Sequence[Alert]] = (
    Alert("NotRunning", lambda window: not window[-1].is_up, 1, needs_disk=True),
    Alert(
        "Halted", lambda window: _newest(window, "halted") + _newest(window, "last run halted") > 0, 0, needs_disk=True
    ),
    Alert("RestartLoop", lambda window: _starts(window) > 4, 0, looks_back=2 * _WINDOW),
    Alert("Behind", lambda window: _age(window, "complete") > FRESH_WITHIN, 2),
    Alert("FarBehind", lambda window: _newest(window, "behind") + _age(window, "observed") > 2 * FRESH_WITHIN, 2),
    Alert("UnmetForLong", lambda window: _age(window, "failing since") > 15, 2),
    Alert("UpstreamSilent", lambda window: _age(window, "polled") > 15, 2),
    Alert("UpstreamErrors", lambda window: _share_of_failed(window) > 0.2, 2),
    Alert("DiskFull", lambda window: _newest(window, "free") < _newest(window, "min free"), 2, needs_disk=True),
    Alert("RemovalHeld", lambda window: _newest(window, "held") > 0, 2),
    Alert("/readyz is not 200", lambda window: window[-1].is_up and not window[-1].is_ready, 2),
)


class Record(msgspec.Struct):
    """The history of one alert."""

    pending_since: float | None = None
    is_firing: bool = False
    fired: int = 0
    seconds: float = 0.0
    """How long it fired in total."""


class Monitoring:
    """Scrapes, evaluates, and records which alerts fired and cleared."""

    def __init__(self, base: str, textfile: Path, alerts: Sequence[Alert]) -> None:
        self.records = {alert.name: Record() for alert in alerts}
        self._base = base
        self._textfile = textfile
        self._alerts = alerts
        self._window: list[Scrape] = []

    def scrape(self, now: float) -> Scrape:
        """Scrape once and evaluate the alerts; `now` is in seconds since the epoch."""
        seen = scrape(self._base, self._textfile, now)
        before = self._window[-1].at if self._window else now
        longest = max(alert.looks_back for alert in self._alerts)
        self._window = [earlier for earlier in self._window if earlier.at > now - longest] + [seen]
        for alert in self._alerts:
            self._evaluate(alert, now, now - before)
        return seen

    @property
    def firing(self) -> list[str]:
        """The alerts that fire now."""
        return [name for name, record in self.records.items() if record.is_firing]

    def _evaluate(self, alert: Alert, now: float, elapsed: float) -> None:
        record = self.records[alert.name]
        if not alert.holds([seen for seen in self._window if seen.at > now - alert.looks_back]):
            record.pending_since, record.is_firing = None, False
            return
        record.pending_since = now if record.pending_since is None else record.pending_since
        if record.is_firing:
            record.seconds += elapsed
        elif now - record.pending_since >= alert.seconds:
            record.is_firing = True
            record.fired += 1
