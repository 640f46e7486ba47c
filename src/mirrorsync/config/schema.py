"""Every setting of `mirrorsync.toml`: its type, its default, what it is for, and which combinations are refused.

A value of these classes is always a valid one: making an unfit one raises BadConfig.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, field
from msgspec.structs import force_setattr

from mirrorsync.config import notify, rules
from mirrorsync.config.metrics import MetricsSettings
from mirrorsync.config.notify import CloudflareSettings, FastlySettings, NotifySettings, PurgeSettings
from mirrorsync.config.setting import Bytes, Seconds
from mirrorsync.errors import BadConfig
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.units import format_duration

PLACEHOLDER_CONTACT: Final = "mirror-admin@example.edu"
"""What the example says until an operator writes their own; refused for "pypi"."""
PYPI_SHORTEST_POLL: Final = 60.0
"""Seconds: PyPI asks mirrors for at most one look at its journal a minute."""


class _Section(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """One section of the file; keys are written with dashes."""


class MirrorSettings(_Section, frozen=True):
    """Where this mirror lives and who answers for it."""

    directory: Annotated[
        Path,
        Meta(
            description="Where the mirror lives: web/ (what is served), state/ and staging/ are made below it. "
            "A relative path starts at this file's folder.",
            examples=["/srv/pypi"],
        ),
    ]
    contact: Annotated[
        str,
        Meta(
            description="Your e-mail or web address. It is sent with every request, so that the index's "
            "administrators can reach you before they block you.",
            examples=[PLACEHOLDER_CONTACT],
        ),
    ]
    name: Annotated[
        str | None,
        Meta(
            description="What the mirror calls itself on its status page and in its trace. Not set: the host of "
            "root-url or of the contact.",
            examples=["mirror.example.edu"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse an unfit directory or contact."""
        if not self.directory.is_absolute() or not str(self.directory).isprintable():
            raise BadConfig(
                f"[mirror] directory is {str(self.directory)!r}",
                why="it must be an absolute path without control characters",
                hint='write it like directory = "/srv/pypi"',
            )
        rules.contact(self.contact)
        if self.name is not None:
            rules.mirror_name(self.name)


class UpstreamSettings(_Section, frozen=True):
    """What is mirrored, and how politely."""

    index: Annotated[
        str,
        Meta(
            description='"pypi", or the base URL of another index, whose /simple/ is below it.',
            examples=["pypi"],
        ),
    ] = "pypi"
    feed: Annotated[
        Literal["auto", "xmlrpc", "json"],
        Meta(
            description='How changes are followed. "xmlrpc": the journal; "json": the list of all projects; '
            '"auto": the journal where the index has one, else the list.'
        ),
    ] = "auto"
    connections: Annotated[
        int,
        Meta(description="Connections at the same time. PyPI asks mirrors to stay at 10 or below.", ge=1, le=64),
    ] = 10
    poll_interval: Annotated[
        Seconds,
        Meta(description='Time between two looks for changes. Less than 60s is refused for "pypi".'),
    ] = PYPI_SHORTEST_POLL
    allow_http: Annotated[
        bool,
        Meta(description="true: allow an index at http://, where anyone on the way can alter what is mirrored."),
    ] = False
    file_hosts: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Hosts (host or host:port) that files may come from. Not set: the index's own host, "
            'and PyPI\'s file host for "pypi".',
            examples=[["files.example.edu"]],
        ),
    ] = None
    proxy: Annotated[
        str | None,
        Meta(
            description="Proxy for all requests. One that wants a password is written credential:NAME; its URL is "
            "then read from the file NAME in $CREDENTIALS_DIRECTORY.",
            examples=["http://proxy.example.edu:3128"],
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        Meta(
            description="Certificates (PEM) to trust in place of the usual ones. "
            "A relative path starts at this file's folder.",
            examples=["/etc/ssl/certs/site-ca.pem"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Bring every value to its one form; refuse unfit ones and unfit combinations."""
        force_setattr(self, "index", rules.index(self.index))
        if self.file_hosts is not None:
            force_setattr(self, "file_hosts", tuple(rules.file_host(host) for host in self.file_hosts))
        if self.proxy is not None:
            force_setattr(self, "proxy", rules.proxy(self.proxy))
        if self.index.lower().startswith("http:") and not self.allow_http:
            raise BadConfig(
                f"[upstream] index is {self.index!r}",
                why="plain HTTP lets anyone on the way alter what is mirrored",
                hint="use https://, or write allow-http = true if this network is yours",
            )
        shortest = PYPI_SHORTEST_POLL if self.index == "pypi" else 0.0
        if self.poll_interval < shortest or self.poll_interval <= 0:
            raise BadConfig(
                f"[upstream] poll-interval is {format_duration(self.poll_interval)}",
                why='PyPI asks for at most one poll a minute, so "pypi" takes 60s or more'
                if shortest
                else "it must be more than 0s",
                hint='write poll-interval = "60s" or longer',
            )


class SelectSettings(_Section, frozen=True):
    """Which projects are mirrored. Names are normalised (PEP 503)."""

    projects: Annotated[
        tuple[ProjectName, ...],
        Meta(
            description="Exact names of the projects to mirror. Empty: everything.",
            examples=[["numpy", "requests"]],
        ),
    ] = ()
    exclude: Annotated[
        tuple[ProjectName, ...],
        Meta(
            description="Exact names of projects to leave out, also where `projects` names them.",
            examples=[["some-huge-project"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Normalise the names; refuse what is not one."""
        force_setattr(self, "projects", rules.project_names("projects", self.projects))
        force_setattr(self, "exclude", rules.project_names("exclude", self.exclude))


class ContentSettings(_Section, frozen=True):
    """What is kept of each project."""

    files: Annotated[
        bool,
        Meta(description="false: mirror the index only; pages then link to the index's own files."),
    ] = True
    metadata: Annotated[
        bool,
        Meta(description="Keep each wheel's .metadata beside it (PEP 658), so that pip need not fetch the wheel."),
    ] = True
    legacy_json: Annotated[
        bool,
        Meta(description="Also serve /pypi/NAME/json, for old tools: one more request for each changed project."),
    ] = False
    gzip: Annotated[
        bool,
        Meta(
            description="Also write a compressed copy beside each page of the index, for web servers that send it in "
            "place of the page (nginx: gzip_static)."
        ),
    ] = False
    root_url: Annotated[
        str | None,
        Meta(
            description="URL at which this mirror is served, for absolute links in its pages. Not set: relative links, "
            "which are right at any address.",
            examples=["https://mirror.example.edu"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Strip the last slash; refuse what is not a web address."""
        if self.root_url is not None:
            force_setattr(self, "root_url", rules.root_url(self.root_url))


class LimitsSettings(_Section, frozen=True):
    """Where mirrorsync stops and asks a person."""

    max_removed_projects: Annotated[
        int,
        Meta(description="Removals of projects in one run before a person must agree.", ge=0),
    ] = 1000
    max_removed_files: Annotated[
        int,
        Meta(description="Removals of files in one run before a person must agree.", ge=0),
    ] = 100_000
    max_removed_bytes: Annotated[
        Bytes,
        Meta(description="Bytes removed in one run before a person must agree."),
    ] = 500 * 1024**3
    min_free: Annotated[
        Bytes,
        Meta(description="Free space below which no files are downloaded; pages and removals go on."),
    ] = 20 * 1024**3
    removal_grace: Annotated[
        Seconds,
        Meta(description="Time that a file stays after no page names it any more, for clients with an older page."),
    ] = 86_400.0


class AuditSettings(_Section, frozen=True):
    """How often the mirror is held against upstream although no serial demands it."""

    period: Annotated[
        Seconds,
        Meta(
            description="Time in which every project is asked for once although no serial demands it: archiving and "
            "back-filled metadata move none. 30d is a conditional request every 3 seconds."
        ),
    ] = 30 * 86_400.0
    list_interval: Annotated[
        Seconds,
        Meta(description="Time between two readings of the list of all projects, where the journal is followed."),
    ] = 86_400.0

    def __post_init__(self) -> None:
        """Refuse periods that would ask for ever."""
        for name, value in (("period", self.period), ("list-interval", self.list_interval)):
            if value <= 0:
                raise BadConfig(f"[audit] {name} is {format_duration(value)}", hint='write it like "30d"')


class Settings(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """All of `mirrorsync.toml`."""

    mirror: MirrorSettings
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    select: SelectSettings = field(default_factory=SelectSettings)
    content: ContentSettings = field(default_factory=ContentSettings)
    limits: LimitsSettings = field(default_factory=LimitsSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    purge: PurgeSettings = field(default_factory=PurgeSettings)
    fastly: FastlySettings = field(default_factory=FastlySettings)
    cloudflare: CloudflareSettings = field(default_factory=CloudflareSettings)

    def __post_init__(self) -> None:
        """Refuse the example's contact towards PyPI, and purges of addresses that are not told."""
        notify.refuse_zone_without_urls(self.cloudflare, self.purge, self.content.root_url)
        if self.upstream.index == "pypi" and self.mirror.contact.lower() == PLACEHOLDER_CONTACT:
            raise BadConfig(
                f"[mirror] contact is {self.mirror.contact!r}",
                why="that is the example's placeholder, and PyPI's administrators could not reach you there",
                hint="write your own e-mail or web address into contact",
            )
