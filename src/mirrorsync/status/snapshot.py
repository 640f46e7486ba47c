"""The facts behind every report on the mirror, as of one moment. Pure, but for `config`'s values."""

from urllib.parse import urlsplit

import msgspec

from mirrorsync.config.schema import Settings
from mirrorsync.state.report import Report
from mirrorsync.status.host import Host


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator configured, as far as a report mentions it or is judged by it. Durations are seconds."""

    name: str = "this mirror"
    simple_url: str | None = None
    """Where pip finds the index, with the last slash; None: the mirror's own address is not configured."""
    holds_all: bool = True
    """Every project of upstream is selected."""
    holds_files: bool = True
    poll_interval: float = 60.0
    audit_period: float = 30 * 86_400.0
    min_free: int = 0
    """Bytes; 0 where no files are mirrored."""
    ready_within: float = 3600.0
    """Lag up to which the mirror is ready to serve."""
    warn_lag: float | None = None
    """Lag above which the mirror is in the warning state; None: the default."""
    critical_lag: float | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is known about the mirror at one moment."""

    at: float
    """Seconds since the epoch."""
    report: Report
    host: Host
    site: Site
    next_poll_at: float | None = None
    """Seconds since the epoch: when this process polls upstream next; None: no daemon, or not the reporting process."""


def site_of(settings: Settings) -> Site:
    """Return what a report needs of the configuration."""
    root_url = settings.content.root_url
    return Site(
        name=_name(settings),
        simple_url=None if root_url is None else f"{root_url}/simple/",
        holds_all=not settings.select.projects and not settings.select.exclude,
        holds_files=settings.content.files,
        poll_interval=settings.upstream.poll_interval,
        audit_period=settings.audit.period,
        min_free=settings.limits.min_free if settings.content.files else 0,
        ready_within=settings.metrics.fresh_within,
    )


def _name(settings: Settings) -> str:
    """Return the mirror's configured name, else the host of its address, else the host of its contact."""
    contact = settings.mirror.contact
    address = settings.content.root_url or (contact if "://" in contact else f"//{contact}")
    return settings.mirror.name or urlsplit(address).hostname or "this mirror"
