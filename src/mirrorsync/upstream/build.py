"""Opening an upstream from its configuration."""

import os
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, closing
from functools import cache, partial
from typing import Final, Literal

import trio

from mirrorsync import __version__
from mirrorsync.errors import BadConfig
from mirrorsync.upstream.address import Address, host_of, resolve
from mirrorsync.upstream.http.allowed_urls import AllowedUrls
from mirrorsync.upstream.http.client import NO_METRICS, SILENCE, Client, RequestMetrics
from mirrorsync.upstream.http.pipeline import Pipeline
from mirrorsync.upstream.http.pool import ConnectionPool
from mirrorsync.upstream.http.retry import RetryPolicy
from mirrorsync.upstream.index import SimpleIndex
from mirrorsync.upstream.pypi import PAUSE, XML_SILENCE, PyPIUpstream

__all__ = ["open_client", "open_upstream", "user_agent"]

_XML_FACTOR: Final = XML_SILENCE / SILENCE
"""The silence limit of the changelog, relative to that of a page."""


def user_agent(contact: str) -> str:
    """Return the User-Agent, which names a contact. Raises: BadConfig (not printable ASCII)."""
    if not contact.isascii() or not contact.isprintable() or not contact.strip():
        raise BadConfig(
            f"contact {contact[:100]!r} cannot be part of a User-Agent", hint="an e-mail address or a URL, ASCII"
        )
    return f"mirrorsync/{__version__} (+{contact.strip()})"


@asynccontextmanager
async def open_upstream(  # noqa: PLR0913 -- the keys of [upstream]
    *,
    index: str,
    contact: str,
    connections: trio.CapacityLimiter,
    feed: Literal["auto", "xmlrpc", "json"] = "auto",
    allow_http: bool = False,
    file_hosts: Collection[str] = (),
    proxy: str | None = None,
    ca_file: str | None = None,
    retry_policy: RetryPolicy | None = None,
    silence: float = SILENCE,
    metrics: RequestMetrics = NO_METRICS,
) -> AsyncIterator[SimpleIndex]:
    """Open the upstream that `index` names; nothing is requested yet.

    With `feed = "json"` there is no changelog; `auto` and `xmlrpc` differ only in what the caller does on NoChangelog.
    `file_hosts`, if given, replace the default. `silence` in seconds; the changelog has 1.5 times as long.
    Raises: BadConfig.
    """
    address = resolve(index)
    async with open_client(
        user_agent=user_agent(contact),
        connections=connections,
        allowed=_allowed_urls(address, file_hosts, allow_http=allow_http),
        proxy=proxy,
        ca_file=ca_file,
        retry_policy=retry_policy,
        silence=silence,
        metrics=metrics,
    ) as client:
        base_url, identity = address.base_url, address.identity
        if feed == "json":
            yield SimpleIndex(client, base_url=base_url, identity=identity, may_be_mirror=not address.is_pypi)
        else:
            pause = PAUSE if address.is_pypi else 0.0
            yield PyPIUpstream(client, base_url=base_url, identity=identity, pause=pause, silence=silence * _XML_FACTOR)


def _allowed_urls(address: Address, file_hosts: Collection[str], *, allow_http: bool) -> AllowedUrls:
    if address.base_url.startswith("http:") and not allow_http:
        raise BadConfig(f"index {address.base_url} is not https", hint="allow-http = true, for an index of your own")
    return AllowedUrls(
        index_hosts=frozenset({address.host}),
        file_hosts=frozenset(map(host_of, file_hosts)) or address.file_hosts,
        allow_http=allow_http,
    )


@asynccontextmanager
async def open_client(  # noqa: PLR0913 -- each is one key of the configuration
    *,
    user_agent: str,
    connections: trio.CapacityLimiter,
    allowed: AllowedUrls,
    proxy: str | None = None,
    ca_file: str | None = None,
    retry_policy: RetryPolicy | None = None,
    silence: float = SILENCE,
    metrics: RequestMetrics = NO_METRICS,
) -> AsyncIterator[Client]:
    """Open a client whose connections are closed when the context ends. `silence` in seconds.

    Certificates are always verified, against `ca_file`, else SSL_CERT_FILE or SSL_CERT_DIR, else certifi's list. They
    are read now, or on first use if plain HTTP is allowed and there is no `ca_file`.
    Raises: BadConfig, for an unusable proxy or certificate file.
    """
    tls = cache(partial(_tls_context, ca_file))
    if ca_file is not None or not allowed.allow_http:
        tls()
    make = partial(
        Client, allowed=allowed, connections=connections, retry_policy=retry_policy or RetryPolicy(), metrics=metrics
    )
    if proxy is None and not _environment_has_proxy():
        with closing(ConnectionPool(tls, user_agent=user_agent, silence=silence)) as pool:
            yield make(partial(Pipeline, pool))
        return
    from mirrorsync.upstream.http.proxy import ProxyRequests, proxy_client  # noqa: PLC0415 -- loads httpx

    async with proxy_client(tls(), proxy, user_agent=user_agent) as client:
        yield make(partial(ProxyRequests, client, silence=silence))


def _environment_has_proxy() -> bool:
    names = {name.lower() for name, value in os.environ.items() if value}
    return not names.isdisjoint(("http_proxy", "https_proxy", "all_proxy"))


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        file, directory = ca_file or os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        if not file and directory:
            return ssl.create_default_context(capath=directory)
        if not file:
            import certifi  # noqa: PLC0415 -- only a pass over TLS needs it

            file = certifi.where()
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        which = "the file that SSL_CERT_FILE names" if ca_file is None else f"ca-file {ca_file!r}"
        raise BadConfig(f"{which} cannot be used", why=str(error)) from error
