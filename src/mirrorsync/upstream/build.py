"""What wiring calls: the configuration's words in, an open upstream out."""

import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial
from typing import Final, Literal

import httpx
import trio

from mirrorsync import __version__
from mirrorsync.errors import BadConfig
from mirrorsync.upstream.address import Address, host_of, resolve
from mirrorsync.upstream.http.allowed_urls import AllowedUrls
from mirrorsync.upstream.http.client import IDLE_LIMIT, SILENCE, Client
from mirrorsync.upstream.http.request_metrics import NO_METRICS, RequestMetrics
from mirrorsync.upstream.http.retry import RetryPolicy
from mirrorsync.upstream.http.sender import open_sender
from mirrorsync.upstream.index import SimpleIndex
from mirrorsync.upstream.pypi import PAUSE, XML_SILENCE, PyPIUpstream

__all__ = ["open_client", "open_upstream", "user_agent"]

_LONGER: Final = XML_SILENCE / SILENCE
"""A journal's answer may take this much longer than a page's."""


def user_agent(contact: str) -> str:
    """Return what we call ourselves, with whom to write to. Raises: BadConfig (not printable ASCII)."""
    if not contact.isascii() or not contact.isprintable() or not contact.strip():
        raise BadConfig(
            f"contact {contact[:100]!r} cannot stand in a User-Agent", hint="an e-mail address or a URL, ASCII"
        )
    return f"mirrorsync/{__version__} (+{contact.strip()})"


@asynccontextmanager
async def open_upstream(  # noqa: PLR0913 - [upstream]'s words, each passed once
    *,
    index: str,
    contact: str,
    connections: trio.CapacityLimiter,
    feed: Literal["auto", "xmlrpc", "json"] = "auto",
    allow_http: bool = False,
    file_hosts: Collection[str] = (),
    proxy: str | None = None,
    ca_file: str | None = None,
    patience: RetryPolicy | None = None,
    silence: float = SILENCE,
    meter: RequestMetrics = NO_METRICS,
) -> AsyncIterator[SimpleIndex]:
    """Open the upstream that `index` names; nothing is asked of it yet.

    With `feed = "json"` there is no journal; `auto` and `xmlrpc` differ only in what the caller does on NoChangelog.
    `file_hosts`, where given, replace the default. `silence` in seconds, half as long again for the journal.
    Raises: BadConfig.
    """
    address = resolve(index)
    async with open_client(
        user_agent=user_agent(contact),
        connections=connections,
        gate=_gate(address, file_hosts, allow_http=allow_http),
        proxy=proxy,
        ca_file=ca_file,
        patience=patience,
        silence=silence,
        meter=meter,
    ) as client:
        base_url, identity = address.base_url, address.identity
        if feed == "json":
            yield SimpleIndex(client, base_url=base_url, identity=identity, may_be_mirror=not address.is_pypi)
        else:
            pause = PAUSE if address.is_pypi else 0.0
            yield PyPIUpstream(client, base_url=base_url, identity=identity, pause=pause, silence=silence * _LONGER)


def _gate(address: Address, file_hosts: Collection[str], *, allow_http: bool) -> AllowedUrls:
    if address.base_url.startswith("http:") and not allow_http:
        raise BadConfig(f"index {address.base_url} is not https", hint="allow-http = true, for an index of one's own")
    return AllowedUrls(
        index_hosts=frozenset({address.host}),
        file_hosts=frozenset(map(host_of, file_hosts)) or address.file_hosts,
        allow_http=allow_http,
    )


@asynccontextmanager
async def open_client(  # noqa: PLR0913 -- each is one word of the configuration
    *,
    user_agent: str,
    connections: trio.CapacityLimiter,
    gate: AllowedUrls,
    proxy: str | None = None,
    ca_file: str | None = None,
    patience: RetryPolicy | None = None,
    silence: float = SILENCE,
    meter: RequestMetrics = NO_METRICS,
) -> AsyncIterator[Client]:
    """Open a client whose connections are closed when the context ends. `silence` in seconds.

    Certificates are always verified, against `ca_file`, else SSL_CERT_FILE, else certifi's list, which are read now
    unless `gate` admits plain HTTP: then when they are needed.
    Raises: BadConfig, for an unusable proxy or certificate file.
    """
    trust = cache(partial(_trusting, ca_file))
    if ca_file is not None or not gate.allow_http:
        trust()
    async with AsyncExitStack() as stack:
        try:
            sender = await stack.enter_async_context(open_sender(trust, proxy=proxy, keep_alive=IDLE_LIMIT))
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise BadConfig("the proxy cannot be used", why=str(error), hint="proxy = http://HOST:PORT") from error
        yield Client(
            sender,
            user_agent=user_agent,
            gate=gate,
            connections=connections,
            patience=patience or RetryPolicy(),
            silence=silence,
            meter=meter,
        )


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    except OSError as error:
        which = "the file that SSL_CERT_FILE names" if ca_file is None else f"ca-file {ca_file!r}"
        raise BadConfig(f"{which} cannot be used", why=str(error)) from error
