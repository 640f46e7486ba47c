"""A process that has met everything that is counted, and how its mirror stands."""

import re
from collections.abc import Mapping

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mirrorsync.errors import MirrorsyncError, StalePage, Throttled, TooManyDeletions, Unreachable
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, StoredFile
from mirrorsync.model.reason import reason_of
from mirrorsync.observe.counters import Counters
from mirrorsync.observe.metrics import Metrics
from mirrorsync.observe.run_observer import Done
from mirrorsync.status.gauges import MirrorGauges, Room, Round, Run, Told

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NOW = 1_800_000_000.0
Values = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def standing(**other: object) -> MirrorGauges:
    usual = {
        "at": NOW,
        "synced_serial": 100,
        "newest_serial": 110,
        "upstream_serial": 120,
        "complete_at": NOW - 90,
        "behind": 30.0,
        "polled_at": NOW - 30,
        "failing_since": NOW - 600,
        "projects": 7,
        "files": 20,
        "bytes": 4096,
        "condemned": 3,
        "unmet": 5,
        "reasons": {"stale": 1, "unreachable": 1},
        "sinks": (Told(name="varnish cache.test", waiting=7, failed_attempts=2, told_at=NOW - 60),),
        "waiting": 6,
        "in_flight": 2,
        "audit": Round(
            done=4, period=100.0, began_at=NOW - 50, ended_at=None, list_read_at=NOW - 40, list_is_refused=False
        ),
        "room": Room(size=1000, free=400, used=500, free_inodes=99, min_free=50),
        "run": Run(ended_at=NOW - 5, projects=1, files=2, bytes=3, failures=4, halted=False),
    }
    return MirrorGauges(**(usual | other))  # type: ignore[arg-type]  # names of the class's own attributes


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


def busy() -> Counters:
    tally = Counters(lambda: NOW - 1000)
    tally.answered("index.test", 200, 1000, 0.02)
    tally.answered("index.test", 304, 0, 0.005)
    tally.answered("files.test", 206, 500, 400.0)
    tally.answered("files.test", 418, 0, 0.1)
    tally.unanswered("files.test")
    tally.broke("files.test")
    tally.retried(Throttled("slow"))
    tally.took("project", 0.3)
    tally.took("root_index", 1.0)
    tally.fetched(77)
    tally.ended(mirrored("alpha", files=2))
    tally.ended(Confirmed(name=project_name("beta"), content_serial=Serial(1)))
    tally.ended(failed("gamma", StalePage("old")))
    tally.ended(failed("delta", Unreachable("down")))
    tally.troubled("upstream", Unreachable("down"))
    tally.troubled("removals", TooManyDeletions("many"))
    tally.recovered("upstream")
    tally.did(Done(projects=1, files=2, bytes=3, errors=0, serial=None))
    return tally


def values(body: bytes, *, openmetrics: bool = False) -> Values:
    """Return each sample by its name and its labels."""
    parse = parse_openmetrics if openmetrics else parse_text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }


def exported() -> set[str]:
    """Return the name of every sample that a process can show."""
    tally = busy()
    return {name for name, _ in values(Metrics(tally).page(standing(), "")[0])}


def named(text: str) -> set[str]:
    """Return the metrics that a text names."""
    return set(re.findall(r"\b(?:mirrorsync|process|python)_[a-z_]*[a-z]\b", text))
