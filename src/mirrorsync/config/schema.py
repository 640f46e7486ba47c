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
"""The contact in the example file; refused for "pypi"."""
PYPI_SHORTEST_POLL: Final = 60.0
"""Seconds. PyPI asks mirrors to poll its changelog at most once a minute."""


class _Section(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """One section of the file; keys are written with dashes."""


class MirrorSettings(_Section, frozen=True):
    """The mirror's directory, and how to reach its operator."""

    directory: Annotated[
        Path,
        Meta(
            description="The mirror's directory. mirrorsync creates web/ (the document root), state/ and staging/ in "
            "it. A relative path starts at this file's directory.",
            examples=["/srv/pypi"],
        ),
    ]
    contact: Annotated[
        str,
        Meta(
            description="Your e-mail or web address. It is sent with every request, so that the index's "
            "administrators can contact you before they block the mirror.",
            examples=[PLACEHOLDER_CONTACT],
        ),
    ]
    name: Annotated[
        str | None,
        Meta(
            description="The mirror's name on its status page and in its trace. Not set: the host of root-url or of "
            "the contact.",
            examples=["mirror.example.edu"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse an invalid directory, contact or name."""
        if not self.directory.is_absolute() or not str(self.directory).isprintable():
            raise BadConfig(
                f"[mirror] directory is {str(self.directory)!r}",
                why="it must be an absolute path without control characters",
                hint='for example directory = "/srv/pypi"',
            )
        rules.contact(self.contact)
        if self.name is not None:
            rules.mirror_name(self.name)


class UpstreamSettings(_Section, frozen=True):
    """The index to mirror, and the limits on requests to it."""

    index: Annotated[
        str,
        Meta(
            description='The index: "pypi", or the base URL above the /simple/ of another index.',
            examples=["pypi"],
        ),
    ] = "pypi"
    feed: Annotated[
        Literal["auto", "xmlrpc", "json"],
        Meta(
            description='Where changes are read. "xmlrpc": the changelog; "json": the list of all projects; '
            '"auto": the changelog if the index has one, otherwise the list.'
        ),
    ] = "auto"
    connections: Annotated[
        int,
        Meta(description="Number of simultaneous connections. PyPI asks mirrors to use at most 10.", ge=1, le=64),
    ] = 10
    poll_interval: Annotated[
        Seconds,
        Meta(description='Time between polls for changes. "pypi" requires at least 60s.'),
    ] = PYPI_SHORTEST_POLL
    allow_http: Annotated[
        bool,
        Meta(description="true: allow an index at http://, where anyone on the network path can alter the data."),
    ] = False
    file_hosts: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Hosts (host or host:port) from which files may be downloaded. Not set: the index's own host, "
            'and PyPI\'s file host for "pypi".',
            examples=[["files.example.edu"]],
        ),
    ] = None
    proxy: Annotated[
        str | None,
        Meta(
            description="Proxy for all requests. For a proxy with a password, write credential:NAME; the URL is then "
            "read from the file NAME in $CREDENTIALS_DIRECTORY.",
            examples=["http://proxy.example.edu:3128"],
        ),
    ] = None
    ca_file: Annotated[
        Path | None,
        Meta(
            description="File with the certificates (PEM) to trust instead of the usual ones. "
            "A relative path starts at this file's directory.",
            examples=["/etc/ssl/certs/site-ca.pem"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Normalise the values; refuse invalid values and combinations."""
        force_setattr(self, "index", rules.index(self.index))
        if self.file_hosts is not None:
            force_setattr(self, "file_hosts", tuple(rules.file_host(host) for host in self.file_hosts))
        if self.proxy is not None:
            force_setattr(self, "proxy", rules.proxy(self.proxy))
        if self.index.lower().startswith("http:") and not self.allow_http:
            raise BadConfig(
                f"[upstream] index is {self.index!r}",
                why="plain HTTP lets anyone on the network path alter the data",
                hint="use https://, or set allow-http = true if you trust this network",
            )
        shortest = PYPI_SHORTEST_POLL if self.index == "pypi" else 0.0
        if self.poll_interval < shortest or self.poll_interval <= 0:
            raise BadConfig(
                f"[upstream] poll-interval is {format_duration(self.poll_interval)}",
                why='PyPI asks for at most one poll a minute, so "pypi" takes 60s or more'
                if shortest
                else "it must be more than 0s",
                hint='set poll-interval = "60s" or longer',
            )


class SelectSettings(_Section, frozen=True):
    """The projects to mirror. Names are normalised (PEP 503)."""

    projects: Annotated[
        tuple[ProjectName, ...],
        Meta(
            description="Exact names of the projects to mirror. Empty: all projects.",
            examples=[["numpy", "requests"]],
        ),
    ] = ()
    exclude: Annotated[
        tuple[ProjectName, ...],
        Meta(
            description="Exact names of projects not to mirror, even if `projects` names them.",
            examples=[["some-huge-project"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Normalise the names; refuse invalid ones."""
        force_setattr(self, "projects", rules.project_names("projects", self.projects))
        force_setattr(self, "exclude", rules.project_names("exclude", self.exclude))


class ContentSettings(_Section, frozen=True):
    """What is mirrored of each project."""

    files: Annotated[
        bool,
        Meta(description="false: mirror only the index; its pages then link to the upstream files."),
    ] = True
    metadata: Annotated[
        bool,
        Meta(description="Mirror the .metadata file of each wheel (PEP 658), so that pip need not read the wheel."),
    ] = True
    legacy_json: Annotated[
        bool,
        Meta(description="Also serve /pypi/NAME/json for old tools. This costs one more request per changed project."),
    ] = False
    gzip: Annotated[
        bool,
        Meta(
            description="Also write a compressed copy of each page of the index, for web servers that can send it "
            "instead of the page (nginx: gzip_static)."
        ),
    ] = False
    root_url: Annotated[
        str | None,
        Meta(
            description="URL at which this mirror is served, for absolute links in its pages. Not set: relative links, "
            "which work at any URL.",
            examples=["https://mirror.example.edu"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Remove the trailing slash; refuse an invalid URL."""
        if self.root_url is not None:
            force_setattr(self, "root_url", rules.root_url(self.root_url))


class LimitsSettings(_Section, frozen=True):
    """Limits on removals and disk space."""

    max_removed_projects: Annotated[
        int,
        Meta(description="Projects removed in one run before further removals wait for the operator.", ge=0),
    ] = 1000
    max_removed_files: Annotated[
        int,
        Meta(description="Files removed in one run before further removals wait for the operator.", ge=0),
    ] = 100_000
    max_removed_bytes: Annotated[
        Bytes,
        Meta(description="Bytes removed in one run before further removals wait for the operator."),
    ] = 500 * 1024**3
    min_free: Annotated[
        Bytes,
        Meta(description="Free space below which no files are downloaded. Page updates and removals continue."),
    ] = 20 * 1024**3
    removal_grace: Annotated[
        Seconds,
        Meta(description="Time that a file is kept after the last page that names it, for clients with an older page."),
    ] = 86_400.0


class AuditSettings(_Section, frozen=True):
    """How often the mirror is compared with upstream when no serial requires it."""

    period: Annotated[
        Seconds,
        Meta(
            description="Time in which every project is requested once even if its serial is unchanged, since "
            "archiving and back-filled metadata change no serial. 30d is a conditional request every 3 seconds."
        ),
    ] = 30 * 86_400.0
    list_interval: Annotated[
        Seconds,
        Meta(description="Time between two comparisons with the list of all projects when the changelog is followed."),
    ] = 86_400.0

    def __post_init__(self) -> None:
        """Refuse periods that are not positive."""
        for name, value in (("period", self.period), ("list-interval", self.list_interval)):
            if value <= 0:
                raise BadConfig(
                    f"[audit] {name} is {format_duration(value)}",
                    why="it must be more than 0s",
                    hint='for example "30d"',
                )


class Settings(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """The content of `mirrorsync.toml`."""

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
        """Refuse the placeholder contact for PyPI, and purging by URL without a public URL."""
        notify.refuse_zone_without_urls(self.cloudflare, self.purge, self.content.root_url)
        if self.upstream.index == "pypi" and self.mirror.contact.lower() == PLACEHOLDER_CONTACT:
            raise BadConfig(
                f"[mirror] contact is {self.mirror.contact!r}",
                why="this is the example's placeholder, where PyPI's administrators cannot reach you",
                hint="set contact to your own e-mail or web address",
            )
