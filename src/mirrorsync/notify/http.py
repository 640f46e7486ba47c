"""Requests to sinks: few, bounded in time and size, never redirected, TLS always verified.

They use httpx, because they are no hot path. It is imported with the first announcement.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from mirrorsync.notify.errors import NotifyError, refusal, without

if TYPE_CHECKING:
    import httpx

_BODY_LIMIT: Final = 64 * 2**10
"""Bytes of a response body that are read."""
TIME_LIMIT: Final = 30.0
"""Seconds for one request and its response."""
_LIMITS_PER_ANNOUNCEMENT: Final = 20
"""An announcement may take this many times as long as one request, whatever the number of its requests."""


class SinkResponse(msgspec.Struct, frozen=True):
    """A response, with its body up to the limit."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- RFC 9110


class SinkClient:
    """Sends requests to one sink; its errors name none of the `secrets`."""

    def __init__(self, sink: str, client: "httpx.AsyncClient", secrets: Sequence[str], time_limit: float) -> None:
        self._sink = sink
        self._client = client
        self._secrets = secrets
        self._time_limit = time_limit

    async def call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> SinkResponse:
        """Send one request; return the response, also one that reports an error.

        Raises: NotifyError, without a response in time. Cancellation: the request may have been received or not.
        """
        import httpx  # noqa: PLC0415 -- loaded only for mirrors with sinks

        try:
            with trio.fail_after(self._time_limit):
                return await self._exchange(self._client.build_request(method, url, headers=headers, content=body))
        except trio.TooSlowError as error:
            raise NotifyError(f"{self._sink} does not answer within {self._time_limit:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = without(f"{type(error).__name__} {error}", (url, *self._secrets))
            raise NotifyError(f"{self._sink} cannot be reached", why=why) from None  # the request contains the secret

    async def expect_success(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> SinkResponse:
        """As `call`. Raises: NotifyError, for any status but 2xx too."""
        response = await self.call(method, url, headers=headers, body=body)
        if not response.is_success:
            raise self.refused(response)
        return response

    def refused(self, response: SinkResponse) -> NotifyError:
        """Return the error for a response that is no success."""
        return refusal(self._sink, response.status, response.body, response.retry_after, self._secrets)

    async def _exchange(self, request: "httpx.Request") -> SinkResponse:
        response = await self._client.send(request, stream=True)
        raw, body = response.aiter_raw(), bytearray()
        try:
            while len(body) < _BODY_LIMIT and (chunk := await anext(raw, b"")):
                body += chunk
        finally:
            await _close(response, raw)
        return SinkResponse(
            status=response.status_code,
            body=bytes(body[:_BODY_LIMIT]),
            retry_after=response.headers.get("retry-after"),
        )


async def _close(response: "httpx.Response", raw: AsyncIterator[bytes]) -> None:
    import httpx  # noqa: PLC0415 -- loaded only for mirrors with sinks

    with trio.CancelScope(deadline=trio.current_time() + 1, shield=True):
        await response.aclose()
        # httpx nests generators, which trio would report as unfinished; on a closed connection they end at once.
        with suppress(httpx.HTTPError, httpx.StreamError):
            while await anext(raw, b""):
                pass


@asynccontextmanager
async def open_client(
    sink: str, *, secrets: Sequence[str] = (), time_limit: float = TIME_LIMIT, use_proxies: bool = True
) -> AsyncIterator[SinkClient]:
    """Open a client for one announcement; it closes its connections, at the latest after 20 times `time_limit`.

    Raises: NotifyError, when that time is over, or at once if the environment allows no requests. `use_proxies`: use
    the proxies of the environment; False for a sink next to the mirror.
    """
    client = _client(sink, secrets, trust_env=use_proxies)
    try:
        with trio.fail_after(_LIMITS_PER_ANNOUNCEMENT * time_limit):
            async with client as one:
                yield SinkClient(sink, one, secrets, time_limit)
    except trio.TooSlowError as error:
        hint = "each of its responses is in time, but all together take too long"
        raise NotifyError(
            f"{sink} did not receive everything within {_LIMITS_PER_ANNOUNCEMENT * time_limit:g} s", hint=hint
        ) from error


def _client(sink: str, secrets: Sequence[str], *, trust_env: bool) -> "httpx.AsyncClient":
    import httpx  # noqa: PLC0415 -- loaded only for mirrors with sinks

    headers = {"User-Agent": "mirrorsync", "Accept-Encoding": "identity"}
    try:
        return httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=None, trust_env=trust_env)  # noqa: S113 -- `SinkClient` bounds each request
    except Exception as error:  # noqa: BLE001 -- any error here comes from the environment
        raise NotifyError(
            f"{sink} cannot be requested",
            why=without(f"{type(error).__name__} {error}", secrets),
            hint="the environment's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY: http:// or https://, no SOCKS), "
            "SSL_CERT_FILE and SSL_CERT_DIR",
        ) from None  # its cause may name the proxy's password
