"""From `Settings` to the caches, CDNs, webhooks and commands that are notified of public changes."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from mirrorsync.config.schema import Settings
from mirrorsync.notify.cache import Cache
from mirrorsync.notify.cloudflare import Cloudflare
from mirrorsync.notify.command import Command
from mirrorsync.notify.fastly import Fastly
from mirrorsync.notify.webhook import Webhook
from mirrorsync.ports import Sink
from mirrorsync.sync.policy import NotifyConfig


def notify_config(settings: Settings) -> NotifyConfig:
    """Return the sinks to notify and how often; no sinks where the configuration names none."""
    notify = settings.notify
    return NotifyConfig(sinks=tuple(_sinks(settings)), interval=notify.interval, flood=notify.flood_limit)


def public_urls(settings: Settings) -> Sequence[str]:
    """Return the base URLs that clients use for the mirror, as far as the configuration names them."""
    root_url = settings.content.root_url
    return settings.purge.public_urls or (() if root_url is None else (root_url,))


def _sinks(settings: Settings) -> Iterator[Sink]:
    notify, purge, fastly, cloudflare = settings.notify, settings.purge, settings.fastly, settings.cloudflare
    caches = tuple(dict.fromkeys(purge.caches))
    hosts = [urlsplit(url).netloc for url in caches]
    for url, host in zip(caches, hosts, strict=True):
        # The queue stores progress under the sink's name, so two caches on one host are named by their whole URL.
        yield Cache(purge.kind, url, sites=public_urls(settings), called=host if hosts.count(host) == 1 else url)
    if fastly.service is not None and fastly.token_file is not None:
        yield Fastly(api=fastly.api_url, service=fastly.service, token_file=fastly.token_file, soft=fastly.soft)
    if cloudflare.zone is not None and cloudflare.token_file is not None:
        yield Cloudflare(
            api=cloudflare.api_url,
            zone=cloudflare.zone,
            token_file=cloudflare.token_file,
            sites=public_urls(settings) if cloudflare.by == "urls" else (),
        )
    if notify.webhook_secret_file is not None:
        for number, url in enumerate(notify.webhooks, start=1):
            yield Webhook(f"webhook {number} ({urlsplit(url).netloc})", url, notify.webhook_secret_file)
    if notify.command:
        yield Command(notify.command, timeout=notify.command_timeout)
