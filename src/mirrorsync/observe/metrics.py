"""The metrics in the forms that Prometheus reads. Sources: OpenMetrics 1.0; Prometheus text format 0.0.4.

Nothing here is kept by the process as a whole: every `Metrics` has registries of its own.
"""

import platform
import time
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from mirrorsync import __version__
from mirrorsync.observe.counters import Counters, Histogram
from mirrorsync.status.gauges import MirrorGauges, gauge, gauges

_REQUEST: Final = "Requests to upstream, by host and status: its number, its class, or none without an answer."


class Metrics:
    """What a process knows of its mirror: how that stands, and what the process has done so far."""

    def __init__(self, tally: Counters) -> None:
        self._mirror = _Mirror(tally)
        self._own = CollectorRegistry()
        self._own.register(self._mirror)
        self._all = CollectorRegistry()
        self._all.register(self._mirror)
        self._all.register(Process(registry=None))
        PlatformCollector(registry=self._all)

    def page(self, standing: MirrorGauges, accept: str) -> tuple[bytes, str]:
        """Return all metrics and their content type, in the form that the Accept header asks for."""
        self._mirror.standing = standing
        encode, content_type = choose_encoder(accept)
        return encode(self._all), content_type

    def textfile(self, standing: MirrorGauges) -> bytes:
        """Return the mirror's metrics for node-exporter, which has others for its own process under the same names."""
        self._mirror.standing = standing
        return generate_latest(self._own)


class Process(ProcessCollector):
    """The process's own numbers, also where a service manager hides the machine's (ProcSubset=pid)."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Mirror:
    """What the registries collect from."""

    def __init__(self, tally: Counters) -> None:
        self._tally = tally
        self.standing: MirrorGauges | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the mirror."""
        tally = self._tally
        build = {"version": __version__, "python_version": platform.python_version()}
        yield InfoMetricFamily("mirrorsync_build", "Which mirrorsync this is.", build)
        yield gauge("mirrorsync_start_timestamp_seconds", "When this process began its work.", tally.started_at)
        yield gauge("mirrorsync_halted", "1: this process was ended by what a person has to mend.", tally.halted)
        if self.standing is not None:
            yield from gauges(self.standing)
        yield from _requests(tally)
        yield from _work(tally)
        yield from _troubles(tally, self.standing)


def _requests(tally: Counters) -> Iterator[Metric]:
    requests = CounterMetricFamily("mirrorsync_upstream_requests", _REQUEST, labels=["host", "code"])
    received = CounterMetricFamily(
        "mirrorsync_upstream_received_bytes", "Bytes of answers' bodies as they travelled.", labels=["host", "code"]
    )
    for key, traffic in tally.traffic.items():
        requests.add_metric(key, traffic.requests)
        received.add_metric(key, traffic.size)
    yield requests
    yield received
    yield _counted(
        "mirrorsync_upstream_broken_bodies", "Answers whose body ended early or in silence.", "host", tally.broken
    )
    yield _counted(
        "mirrorsync_upstream_retries", "Requests sent again, by what the one before met.", "reason", tally.retries
    )
    yield _histograms(
        "mirrorsync_upstream_request_duration_seconds",
        "Time from a request to the end of its answer, our own taking of the body included.",
        "host",
        tally.durations,
    )


def _work(tally: Counters) -> Iterator[Metric]:
    yield CounterMetricFamily("mirrorsync_fetched_files", "Files that came into the store.", tally.fetched_files)
    yield CounterMetricFamily(
        "mirrorsync_fetched_bytes", "Bytes of files and sidecars that were fetched.", tally.fetched_bytes
    )
    yield _counted("mirrorsync_project_outcomes", "How bringing up projects ended.", "outcome", tally.outcomes)
    yield _counted("mirrorsync_project_failures", "Why bringing up projects failed.", "reason", tally.failures)
    yield CounterMetricFamily(
        "mirrorsync_publications", "Times that the mirror's status was made public.", tally.publications
    )
    yield CounterMetricFamily(
        "mirrorsync_root_index_writes", "Times that the root index was written.", tally.steps["root_index"].count
    )
    yield _histograms(
        "mirrorsync_step_duration_seconds",
        "Time that a step took: bringing up a project, recording that (commit), asking for changes (poll),"
        " writing the root index, deleting what is condemned (sweep).",
        "step",
        tally.steps,
    )


def _troubles(tally: Counters, standing: MirrorGauges | None) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "mirrorsync_trouble",
        "1: what was last heard of this place is a trouble that is no one project's.",
        labels=["at"],
    )
    for where in tally.troubles:
        is_trouble = where in tally.troubled_now
        if where == "root list" and standing is not None:
            is_trouble = standing.audit.list_is_refused  # it is read once a day: by another process, mostly
        now.add_metric([where.replace(" ", "_")], is_trouble)
    yield now
    counts = {where.replace(" ", "_"): count for where, count in tally.troubles.items()}
    yield _counted(
        "mirrorsync_troubles", "Troubles that are no one project's, each time that they are met.", "at", counts
    )


def _counted(name: str, documentation: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _histograms(name: str, documentation: str, label: str, histograms: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=[label], unit="seconds")
    for value, histogram in histograms.items():
        family.add_metric([value], list(histogram.buckets()), histogram.sum)
    return family
