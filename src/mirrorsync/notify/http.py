"""Requests to whoever is told: few, bounded in time and size, never redirected, TLS always verified.

httpx's own client does: this is no hot path. It is imported when there is something to say.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from mirrorsync.notify.errors import PurgeError, refusal, without

if TYPE_CHECKING:
    import httpx

_ANSWER_LIMIT: Final = 64 * 2**10
"""Bytes of an answer that are read."""
PATIENCE: Final = 30.0
"""Seconds for one request and its answer, all in all."""
_PATIENCES: Final = 20
"""How many such times one announcement may take, however many requests it is."""


class Reply(msgspec.Struct, frozen=True):
    """An answer, its body cut at the limit."""

    status: int
    body: bytes
    retry_after: str | None

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 -- RFC 9110


class Caller:
    """Sends requests to one sink. `secrets` are kept out of what its errors say."""

    def __init__(self, who: str, client: "httpx.AsyncClient", secrets: Sequence[str], patience: float) -> None:
        self._who = who
        self._client = client
        self._secrets = secrets
        self._patience = patience

    async def call(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request; return its answer, whatever its status.

        Raises: PurgeError, when none comes in time. Cancellation: it may have been heard or not.
        """
        import httpx  # noqa: PLC0415 -- loaded where there is something to say

        try:
            with trio.fail_after(self._patience):
                return await self._exchange(self._client.build_request(method, url, headers=headers, content=body))
        except trio.TooSlowError as error:
            raise PurgeError(f"{self._who} gives no answer in {self._patience:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            why = without(f"{type(error).__name__} {error}", (url, *self._secrets))
            raise PurgeError(f"{self._who} cannot be reached", why=why) from None  # its request names the secret

    async def expect_success(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """As `call`. Raises: PurgeError, for any status but 2xx too."""
        reply = await self.call(method, url, headers=headers, body=body)
        if not reply.is_success:
            raise self.refused(reply)
        return reply

    def refused(self, reply: Reply) -> PurgeError:
        """Return the error that an unwelcome answer is."""
        return refusal(self._who, reply.status, reply.body, reply.retry_after, self._secrets)

    async def _exchange(self, request: "httpx.Request") -> Reply:
        response = await self._client.send(request, stream=True)
        raw, body = response.aiter_raw(), bytearray()
        try:
            while len(body) < _ANSWER_LIMIT and (chunk := await anext(raw, b"")):
                body += chunk
        finally:
            await _close(response, raw)
        return Reply(
            status=response.status_code,
            body=bytes(body[:_ANSWER_LIMIT]),
            retry_after=response.headers.get("retry-after"),
        )


async def _close(response: "httpx.Response", raw: AsyncIterator[bytes]) -> None:
    import httpx  # noqa: PLC0415 -- only who tells a cache pays for loading it

    with trio.CancelScope(deadline=trio.current_time() + 1, shield=True):
        await response.aclose()
        # httpx nests generators that trio would find unfinished; on a closed connection they end at once.
        with suppress(httpx.HTTPError, httpx.StreamError):
            while await anext(raw, b""):
                pass


@asynccontextmanager
async def calling(
    who: str, *, secrets: Sequence[str] = (), patience: float = PATIENCE, past_proxies: bool = False
) -> AsyncIterator[Caller]:
    """Open a caller for one announcement; connections end with the context, and the context within 20 x `patience`.

    Raises: PurgeError, when that is over, or at once where the environment allows no requests. `past_proxies`: whoever
    is told stands beside the mirror, and no proxy of the environment is on the way.
    """
    client = _client(who, secrets, trust_env=not past_proxies)
    try:
        with trio.fail_after(_PATIENCES * patience):
            async with client as one:
                yield Caller(who, one, secrets, patience)
    except trio.TooSlowError as error:
        hint = "each of its answers comes in time, all of them together do not"
        raise PurgeError(f"{who} was not told all in {_PATIENCES * patience:g} s", hint=hint) from error


def _client(who: str, secrets: Sequence[str], *, trust_env: bool) -> "httpx.AsyncClient":
    import httpx  # noqa: PLC0415 -- only who tells a cache pays for loading it

    headers = {"User-Agent": "mirrorsync", "Accept-Encoding": "identity"}
    try:
        return httpx.AsyncClient(headers=headers, follow_redirects=False, timeout=None, trust_env=trust_env)  # noqa: S113 -- `Caller` bounds each request
    except Exception as error:  # noqa: BLE001 -- whatever the environment holds, it is no bug of ours
        raise PurgeError(
            f"{who} cannot be called",
            why=without(f"{type(error).__name__} {error}", secrets),
            hint="the environment's proxy (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY: http:// or https://, no SOCKS), "
            "SSL_CERT_FILE and SSL_CERT_DIR",
        ) from None  # what it stands on may name the proxy's password
