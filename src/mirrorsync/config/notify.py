"""The sections that say who is told of what changed in public (docs/purging.md)."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from mirrorsync.config import rules
from mirrorsync.config.setting import Seconds
from mirrorsync.errors import BadConfig
from mirrorsync.model.units import format_duration

_SECRET = "A relative path starts at this file's folder; credential:NAME is NAME in $CREDENTIALS_DIRECTORY."  # noqa: S105 -- words, and no secret


class _Section(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """One section of the file; keys are written with dashes."""


class NotifySettings(_Section, frozen=True):
    """Who hears of changes, and how often."""

    interval: Annotated[
        Seconds,
        Meta(description="Time in which the daemon gathers what changed before it tells anyone: caches, too."),
    ] = 5.0
    flood_limit: Annotated[
        int,
        Meta(
            description="Changes that wait for one cache or listener, above which it is told that all of the index may "
            "have changed.",
            ge=10,
            le=100_000,
        ),
    ] = 5000
    command: Annotated[
        tuple[str, ...],
        Meta(
            description="A program and its arguments, started without a shell; it reads what changed from its standard "
            "input, a JSON object a line.",
            examples=[["/usr/local/bin/mirror-changed", "--quiet"]],
        ),
    ] = ()
    command_timeout: Annotated[
        Seconds,
        Meta(description="Time after which the program is killed, with all that it started."),
    ] = 60.0
    webhooks: Annotated[
        tuple[str, ...],
        Meta(
            description="https:// addresses that get what changed as JSON, in a signed POST.",
            examples=[["https://hooks.example.edu/mirror"]],
        ),
    ] = ()
    webhook_secret_file: Annotated[
        Path | None,
        Meta(description=f"What webhooks are signed with. {_SECRET}", examples=["/etc/mirrorsync/webhook-secret"]),
    ] = None

    def __post_init__(self) -> None:
        """Refuse unfit addresses and times, and webhooks that nothing could sign; show of these no more than hosts."""
        for name, value in (("interval", self.interval), ("command-timeout", self.command_timeout)):
            if value <= 0:
                raise BadConfig(f"[notify] {name} is {format_duration(value)}", hint='write it like "5s"')
        if self.command and not self.command[0]:
            raise BadConfig("[notify] command begins with an empty text", hint="the program's path stands first")
        webhooks = (
            rules.PrivateUrl(rules.private_address(f"number {number} of [notify] webhooks", url))
            for number, url in enumerate(self.webhooks, start=1)
        )
        force_setattr(self, "webhooks", tuple(webhooks))
        if self.webhooks and self.webhook_secret_file is None:
            raise BadConfig(
                "[notify] webhooks are set without webhook-secret-file",
                why="nobody could tell them from anybody else's",
                hint="write 32 random bytes as text into a file, and its path into webhook-secret-file",
            )


class PurgeSettings(_Section, frozen=True):
    """One's own caches in front of the mirror."""

    caches: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses of caches that take PURGE requests, each of them alone: not of what balances "
            "between them.",
            examples=[["http://127.0.0.1:6081"]],
        ),
    ] = ()
    kind: Annotated[
        Literal["varnish", "nginx"],
        Meta(description='What they are; "nginx" needs a module that knows PURGE.'),
    ] = "varnish"
    public_urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses that clients know this mirror by; caches keep objects by them. "
            "Not set: [content] root-url.",
            examples=[["https://mirror.example.edu"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Strip last slashes; refuse what is not a web address."""
        force_setattr(self, "caches", tuple(rules.address("[purge] caches", url) for url in self.caches))
        force_setattr(self, "public_urls", tuple(rules.address("[purge] public-urls", url) for url in self.public_urls))


class FastlySettings(_Section, frozen=True):
    """Fastly, by surrogate key."""

    service: Annotated[
        str | None,
        Meta(
            description="Identifier of the Fastly service to purge, by surrogate key.",
            examples=["SU1Z0isxPaozGVKXdv0eY"],
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(description=f"The API token. {_SECRET}", examples=["/etc/mirrorsync/fastly-token"]),
    ] = None
    soft: Annotated[
        bool,
        Meta(
            description="Mark pages as stale instead of dropping them: served while Fastly asks anew, if so set there."
        ),
    ] = False
    api_url: Annotated[str, Meta(description="Where Fastly's API is.")] = "https://api.fastly.com"

    def __post_init__(self) -> None:
        """Refuse a service without a token."""
        force_setattr(self, "api_url", rules.private_address("[fastly] api-url", self.api_url).rstrip("/"))
        _both("fastly", "service", self.service, self.token_file)


class CloudflareSettings(_Section, frozen=True):
    """Cloudflare, by cache tag or URL."""

    zone: Annotated[
        str | None,
        Meta(description="Identifier of the Cloudflare zone to purge.", examples=["023e105f4ecef8ad9ca31a8372d0c353"]),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(
            description=f"An API token with the right to purge. {_SECRET}",
            examples=["/etc/mirrorsync/cloudflare-token"],
        ),
    ] = None
    by: Annotated[
        Literal["tags", "urls"],
        Meta(
            description='"tags": by Cache-Tag, which the web server adds; "urls": by each address, below public-urls.'
        ),
    ] = "tags"
    api_url: Annotated[str, Meta(description="Where Cloudflare's API is.")] = "https://api.cloudflare.com/client/v4"

    def __post_init__(self) -> None:
        """Refuse a zone without a token."""
        force_setattr(self, "api_url", rules.private_address("[cloudflare] api-url", self.api_url).rstrip("/"))
        _both("cloudflare", "zone", self.zone, self.token_file)


def _both(section: str, key: str, value: str | None, token_file: Path | None) -> None:
    if value is not None and token_file is None:
        raise BadConfig(
            f"[{section}] {key} is set without token-file",
            why="nothing is purged without a token",
            hint=f"write the token into a file that only this user can read, and its path into [{section}] token-file",
        )


def refuse_zone_without_urls(cloudflare: CloudflareSettings, purge: PurgeSettings, root_url: str | None) -> None:
    """Raise BadConfig where Cloudflare is to purge URLs that nobody tells it."""
    if cloudflare.zone is not None and cloudflare.by == "urls" and not purge.public_urls and root_url is None:
        raise BadConfig(
            '[cloudflare] by is "urls"',
            why="neither [purge] public-urls nor [content] root-url says which",
            hint='write public-urls = ["https://mirror.example.edu"] in [purge], or by = "tags"',
        )
