"""What a process counts while it works, and all metrics in the formats that Prometheus reads.

Sources: OpenMetrics 1.0; Prometheus text format 0.0.4. A registry belongs to one `Metrics`, never to the process.
"""

import platform
import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from mirrorsync import __version__
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.outcome import Failed, Mirrored, Outcome
from mirrorsync.model.reason import REASONS, reason_of
from mirrorsync.observe.run_observer import Done, RunObserver, Step, Where

NO_ANSWER: Final = "none"
"""The code of a request without an answer."""
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds."""
_OUTCOMES: Final = ("mirrored", "confirmed", "removed", "failed")
_EXACTLY: Final = frozenset({200, 206, 304, 403, 404, 416, 429, 500, 502, 503, 504})
"""Statuses that are a code of their own; the others are counted by their class."""
_CODES: Final = {status: str(status) if status in _EXACTLY else f"{status // 100}xx" for status in range(100, 600)}


class Metrics(RunObserver):
    """Counts requests, steps and outcomes; called on the event loop, and cheap enough for every request."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves this one bare
        self.registry = CollectorRegistry()
        self._responses: dict[tuple[str, int], tuple[Counter, Counter, Histogram]] = {}
        """By host and status: a look-up by labels costs more than counting."""
        build = Info("mirrorsync_build", "Versions of mirrorsync and Python.", registry=self.registry)
        build.info({"version": __version__, "python_version": platform.python_version()})
        started = self._gauge("start_timestamp_seconds", "When this process began its work.")
        started.set(clock())
        self._halted = self._gauge("halted", "1: this process was ended by an error that needs a person.")
        self.projects_in_flight = 0
        self._add_requests()
        self._add_work()

    def _add_requests(self) -> None:
        by_code = ["host", "code"]
        self._requests = self._counter(
            "upstream_requests",
            "Requests to upstream, by host and status, its class, or none without an answer.",
            by_code,
        )
        self._received = self._counter("upstream_received_bytes", "Bytes of response bodies as transferred.", by_code)
        self._broken = self._counter("upstream_broken_bodies", "Responses whose body ended early or stalled.", ["host"])
        self._retries = self._counter(
            "upstream_retries", "Repeated requests, by why the one before failed.", ["reason"], REASONS
        )
        self._durations = Histogram(
            "mirrorsync_upstream_request_duration_seconds",
            "Time from a request to the end of its response, including our own processing of the body.",
            ["host"],
            unit="seconds",
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def _add_work(self) -> None:
        self._fetched_files = self._counter("fetched_files", "Files that were added to the store.")
        self._fetched_bytes = self._counter("fetched_bytes", "Bytes of files and sidecars that were fetched.")
        self._outcomes = self._counter("project_outcomes", "Attempts at projects, by outcome.", ["outcome"], _OUTCOMES)
        self._failures = self._counter(
            "project_failures", "Failed attempts at projects, by reason.", ["reason"], REASONS
        )
        self._publications = self._counter("publications", "Times that the mirror's status was published.")
        self._root_index = self._counter("root_index_writes", "Times that the root index was written.")
        self._steps = Histogram(
            "mirrorsync_step_duration_seconds",
            "Time that a step took: handling a project, recording its outcome (commit), polling upstream, writing the"
            " root index, deleting condemned objects (sweep).",
            ["step"],
            unit="seconds",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        for step in get_args(Step):
            self._steps.labels(step)
        places = [where.replace(" ", "_") for where in get_args(Where)]
        self._trouble = self._gauge(
            "trouble", "1: a trouble that concerns more than one project lasts.", ["at"], places
        )
        self._troubles = self._counter("troubles", "Troubles that concern more than one project.", ["at"], places)

    def _counter(self, name: str, text: str, labels: Iterable[str] = (), values: Iterable[str] = ()) -> Counter:
        counter = Counter(f"mirrorsync_{name}", text, tuple(labels), registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _gauge(self, name: str, text: str, labels: Iterable[str] = (), values: Iterable[str] = ()) -> Gauge:
        unit = "seconds" if name.endswith("_seconds") else ""
        gauge = Gauge(f"mirrorsync_{name}", text, tuple(labels), unit=unit, registry=self.registry)
        for value in values:
            gauge.labels(value)
        return gauge

    def set_trouble(self, where: Where, *, lasts: bool) -> None:
        """Set whether `where` is in trouble."""
        self._trouble.labels(where.replace(" ", "_")).set(lasts)

    def set_halted(self, *, halted: bool) -> None:
        """Set whether this process is ended by an error that needs a person."""
        self._halted.set(halted)

    # --- exposition ------------------------------------------------------------------------------------------------

    def page(self, gauges: Iterable[Metric], accept: str) -> tuple[bytes, str]:
        """Return `gauges` and all metrics, and their content type, in the format that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        process = CollectorRegistry()
        Process(registry=process)
        PlatformCollector(registry=process)
        return encode(_Collected(chain(gauges, self.registry.collect(), process.collect()))), content_type

    def textfile(self, gauges: Iterable[Metric]) -> bytes:
        """Return `gauges` and the mirror's metrics, but for the process's: node-exporter has its own by these names."""
        return generate_latest(_Collected(chain(gauges, self.registry.collect())))

    # --- as the request metrics of upstream's client ---------------------------------------------------------------

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Count a response of `size` bytes."""
        found = self._responses.get((host, status))
        if found is None:
            code = _CODES.get(status, "other")
            found = self._responses[host, status] = (
                self._requests.labels(host, code),
                self._received.labels(host, code),
                self._durations.labels(host),
            )
        requests, received, duration = found
        requests.inc()
        received.inc(size)
        duration.observe(seconds)

    def unanswered(self, host: str) -> None:
        """Count a request without a response."""
        self._requests.labels(host, NO_ANSWER).inc()
        self._received.labels(host, NO_ANSWER)

    def broke(self, host: str) -> None:
        """Count a body that ended early."""
        self._broken.labels(host).inc()

    def retried(self, error: MirrorsyncError) -> None:
        """Count another attempt by the error before it."""
        self._retries.labels(reason_of(error)).inc()

    # --- as an observer of the run ---------------------------------------------------------------------------------

    def took(self, step: Step, seconds: float) -> None:
        """Count a step."""
        self._steps.labels(step).observe(seconds)
        if step == "root_index":
            self._root_index.inc()

    def in_flight(self, projects: int) -> None:
        """Note how many projects are being synced now."""
        self.projects_in_flight = projects

    def fetched(self, size: int) -> None:
        """Count bytes of files."""
        self._fetched_bytes.inc(size)

    def ended(self, outcome: Outcome) -> None:
        """Count the outcome."""
        if isinstance(outcome, Failed):
            self._outcomes.labels("failed").inc()
            self._failures.labels(outcome.reason).inc()
            if outcome.reason == "low_space":
                self._count_trouble("space")
            return
        self._outcomes.labels(type(outcome).__name__.lower()).inc()
        self.recovered("projects")  # one success shows that projects do not fail as a whole
        if isinstance(outcome, Mirrored):
            new = sum(file.file_is_new for file in outcome.stored)
            self._fetched_files.inc(new)
            if new:
                self.recovered("space")

    def published(self, done: Done) -> None:  # noqa: ARG002 -- each outcome was counted when the project ended
        """Count a publication."""
        self._publications.inc()

    def failed(self, where: Where, error: MirrorsyncError) -> None:  # noqa: ARG002 -- the place is counted
        """Count a trouble, which lasts until its place recovers."""
        self._count_trouble(where)

    def recovered(self, where: Where) -> None:
        """Note that a trouble is over."""
        self.set_trouble(where, lasts=False)

    def _count_trouble(self, where: Where) -> None:
        self._troubles.labels(where.replace(" ", "_")).inc()
        self.set_trouble(where, lasts=True)


class Process(ProcessCollector):
    """The process's own numbers, also where a service manager hides the machine's (ProcSubset=pid)."""

    def _boot_time(self) -> float:
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


class _Collected(Collector):
    """Metrics that are already collected, as the library's encoders take them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return them, once."""
        return self._metrics
