"""The sections for caches, CDNs, webhooks and commands that are notified of public changes (docs/purging.md)."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from mirrorsync.config import rules
from mirrorsync.config.setting import Seconds
from mirrorsync.errors import BadConfig
from mirrorsync.model.units import format_duration

_SECRET = "A relative path starts at this file's directory; credential:NAME is the file NAME in $CREDENTIALS_DIRECTORY."  # noqa: S105 -- not a secret


class _Section(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """One section of the file; keys are written with dashes."""


class NotifySettings(_Section, frozen=True):
    """Who is notified of changes, and how often."""

    interval: Annotated[
        Seconds,
        Meta(description="Time for which the daemon collects changes before it notifies anyone, caches included."),
    ] = 5.0
    flood_limit: Annotated[
        int,
        Meta(
            description="Number of changes queued for one cache, webhook or command above which it is notified once "
            "that the whole index may have changed.",
            ge=10,
            le=100_000,
        ),
    ] = 5000
    command: Annotated[
        tuple[str, ...],
        Meta(
            description="A program and its arguments, started without a shell. It receives the changes on standard "
            "input, one JSON object per line.",
            examples=[["/usr/local/bin/mirror-changed", "--quiet"]],
        ),
    ] = ()
    command_timeout: Annotated[
        Seconds,
        Meta(description="Time after which the program and its child processes are killed."),
    ] = 60.0
    webhooks: Annotated[
        tuple[str, ...],
        Meta(
            description="https:// URLs that receive the changes as JSON in a signed POST.",
            examples=[["https://hooks.example.edu/mirror"]],
        ),
    ] = ()
    webhook_secret_file: Annotated[
        Path | None,
        Meta(
            description=f"File with the secret that signs the webhooks. {_SECRET}",
            examples=["/etc/mirrorsync/webhook-secret"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse invalid times and URLs, and webhooks without a secret. Errors show only a webhook's host."""
        for name, value in (("interval", self.interval), ("command-timeout", self.command_timeout)):
            if value <= 0:
                raise BadConfig(
                    f"[notify] {name} is {format_duration(value)}",
                    why="it must be more than 0s",
                    hint='for example "5s"',
                )
        if self.command and not self.command[0]:
            raise BadConfig("[notify] command starts with an empty string", hint="write the program's path first")
        webhooks = (
            rules.PrivateUrl(rules.private_address(f"number {number} of [notify] webhooks", url))
            for number, url in enumerate(self.webhooks, start=1)
        )
        force_setattr(self, "webhooks", tuple(webhooks))
        if self.webhooks and self.webhook_secret_file is None:
            raise BadConfig(
                "[notify] webhooks are set without webhook-secret-file",
                why="without a signature, receivers cannot verify the sender",
                hint="write 32 random bytes as text into a file, and set webhook-secret-file to its path",
            )


class PurgeSettings(_Section, frozen=True):
    """Caches in front of the mirror that the operator runs."""

    caches: Annotated[
        tuple[str, ...],
        Meta(
            description="URLs of caches that accept PURGE requests. Name each cache, not the load balancer in front of "
            "them.",
            examples=[["http://127.0.0.1:6081"]],
        ),
    ] = ()
    kind: Annotated[
        Literal["varnish", "nginx"],
        Meta(description='The type of the caches. "nginx" needs a module that supports PURGE.'),
    ] = "varnish"
    public_urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Base URLs that clients use for this mirror; caches store objects under them. "
            "Empty: [content] root-url.",
            examples=[["https://mirror.example.edu"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        """Remove trailing slashes; refuse invalid URLs."""
        force_setattr(self, "caches", tuple(rules.address("[purge] caches", url) for url in self.caches))
        force_setattr(self, "public_urls", tuple(rules.address("[purge] public-urls", url) for url in self.public_urls))


class FastlySettings(_Section, frozen=True):
    """Purging Fastly by surrogate key."""

    service: Annotated[
        str | None,
        Meta(
            description="ID of the Fastly service to purge, by surrogate key.",
            examples=["SU1Z0isxPaozGVKXdv0eY"],
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(description=f"File with the API token. {_SECRET}", examples=["/etc/mirrorsync/fastly-token"]),
    ] = None
    soft: Annotated[
        bool,
        Meta(
            description="Mark pages as stale instead of removing them. Fastly then serves them while it revalidates, "
            "if the service is configured to."
        ),
    ] = False
    api_url: Annotated[str, Meta(description="Base URL of Fastly's API.")] = "https://api.fastly.com"

    def __post_init__(self) -> None:
        """Refuse a service without a token."""
        force_setattr(self, "api_url", rules.private_address("[fastly] api-url", self.api_url).rstrip("/"))
        _both("fastly", "service", self.service, self.token_file)


class CloudflareSettings(_Section, frozen=True):
    """Purging Cloudflare by cache tag or URL."""

    zone: Annotated[
        str | None,
        Meta(description="ID of the Cloudflare zone to purge.", examples=["023e105f4ecef8ad9ca31a8372d0c353"]),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(
            description=f"File with an API token that may purge. {_SECRET}",
            examples=["/etc/mirrorsync/cloudflare-token"],
        ),
    ] = None
    by: Annotated[
        Literal["tags", "urls"],
        Meta(
            description='How to purge. "tags": by the Cache-Tag from the web server; "urls": by URL, below public-urls.'
        ),
    ] = "tags"
    api_url: Annotated[str, Meta(description="Base URL of Cloudflare's API.")] = "https://api.cloudflare.com/client/v4"

    def __post_init__(self) -> None:
        """Refuse a zone without a token."""
        force_setattr(self, "api_url", rules.private_address("[cloudflare] api-url", self.api_url).rstrip("/"))
        _both("cloudflare", "zone", self.zone, self.token_file)


def _both(section: str, key: str, value: str | None, token_file: Path | None) -> None:
    if value is not None and token_file is None:
        raise BadConfig(
            f"[{section}] {key} is set without token-file",
            why="purging needs a token",
            hint=f"write the token into a file that only this user can read, and set [{section}] token-file to it",
        )


def refuse_zone_without_urls(cloudflare: CloudflareSettings, purge: PurgeSettings, root_url: str | None) -> None:
    """Raise BadConfig when Cloudflare should purge by URL and no public URL is configured."""
    if cloudflare.zone is not None and cloudflare.by == "urls" and not purge.public_urls and root_url is None:
        raise BadConfig(
            '[cloudflare] by is "urls"',
            why="neither [purge] public-urls nor [content] root-url is set",
            hint='write public-urls = ["https://mirror.example.edu"] in [purge], or by = "tags"',
        )
