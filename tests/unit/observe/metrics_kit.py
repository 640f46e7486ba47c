"""The metrics of a process that has met everything that is counted."""

import re
from collections import Counter
from collections.abc import Mapping

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mirrorsync.errors import MirrorsyncError, StalePage, Throttled, TooManyDeletions, Unreachable
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, StoredFile
from mirrorsync.model.reason import reason_of
from mirrorsync.observe.metrics import Metrics
from mirrorsync.observe.run_observer import Done
from mirrorsync.state.audit import AuditReport
from mirrorsync.status.gauges import Queue, gauges
from mirrorsync.status.health import judge
from mirrorsync.status.snapshot import Snapshot
from tests.unit.status.mirrors import NOW, failing, mirror, sink, untried

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
Values = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def snapshot() -> Snapshot:
    """Return a mirror of which every gauge is known."""
    return mirror(
        failing(since=NOW - 600),
        untried(),
        waiting_after=NOW - 40,
        audit=AuditReport(began_at=NOW - 50, done=4, audited_at=NOW - 60, list_read_at=NOW - 40),
        synced_serial=Serial(100),
        newest_serial=Serial(110),
        upstream_serial=Serial(120),
        complete_at=NOW - 90,
        unmet_count=5,
        reasons={"stale": 1, "unreachable": 1},
        sinks=(sink(attempts=2),),
    )


def standing(of: Snapshot | None = None) -> tuple[Metric, ...]:
    of = of or snapshot()
    return tuple(gauges(of, judge(of), Queue(waiting=6, in_flight=2)))


def failed(name: str, error: MirrorsyncError) -> Failed:
    return Failed(name=project_name(name), error=str(error), hint="", delay=None, reason=reason_of(error))


def mirrored(name: str, files: int = 1) -> Mirrored:
    stored = tuple(
        StoredFile(place=b"p" * 32, filename=f"{number}.whl", size=1, file_is_new=True, metadata_sha256=None)
        for number in range(files)
    )
    return Mirrored(
        name=project_name(name),
        serial=Serial(1),
        page_serial=Serial(1),
        page_digest=b"",
        etag=None,
        status="active",
        stored=stored,
    )


def busy() -> Metrics:
    metrics = Metrics(lambda: NOW - 1000)
    metrics.answered("index.test", 200, 1000, 0.02)
    metrics.answered("index.test", 304, 0, 0.005)
    metrics.answered("files.test", 206, 500, 400.0)
    metrics.answered("files.test", 418, 0, 0.1)
    metrics.unanswered("files.test")
    metrics.broke("files.test")
    metrics.retried(Throttled("slow"))
    metrics.took("project", 0.3)
    metrics.took("root_index", 1.0)
    metrics.fetched(77)
    metrics.ended(mirrored("alpha", files=2))
    metrics.ended(Confirmed(name=project_name("beta"), content_serial=Serial(1)))
    metrics.ended(failed("gamma", StalePage("old")))
    metrics.ended(failed("delta", Unreachable("down")))
    metrics.failed("upstream", Unreachable("down"))
    metrics.failed("removals", TooManyDeletions("many"))
    metrics.recovered("upstream")
    metrics.published(Done(projects=1, files=2, bytes=3, errors=0, serial=None))
    return metrics


def values(body: bytes, *, openmetrics: bool = False) -> Values:
    """Return each sample by its name and its labels."""
    parse = parse_openmetrics if openmetrics else parse_text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def count(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of a sample, 0 where there is none."""
    return metrics.registry.get_sample_value(f"mirrorsync_{name}", labels) or 0.0


def by_label(metrics: Metrics, name: str, label: str) -> dict[str, float]:
    """Return the values above 0 of a metric, summed up by one of its labels."""
    sums: Counter[str] = Counter()
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name == f"mirrorsync_{name}":
                sums[sample.labels[label]] += sample.value  # type: ignore[assignment]  # numbers of any kind
    return {value: total for value, total in sums.items() if total}


def exported() -> set[str]:
    """Return the name of every sample that a process can show."""
    return {name for name, _ in values(busy().page(standing(), "")[0])}


def named(text: str) -> set[str]:
    """Return the metrics that a text names."""
    return set(re.findall(r"\b(?:mirrorsync|process|python)_[a-z_]*[a-z]\b", text))
