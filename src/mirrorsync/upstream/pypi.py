"""PyPI: the Simple API, and the changelog over XML-RPC: what each of its rows means for a mirror."""

import math
import re
import reprlib
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Final

import trio

from mirrorsync.errors import Malformed, NoChangelog
from mirrorsync.model.change import Change, ChangeBatch
from mirrorsync.model.identity import Serial, project_name
from mirrorsync.upstream import xmlrpc
from mirrorsync.upstream.http.client import MIB, Client
from mirrorsync.upstream.http.errors import ServerFault, wrong_type
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.url import parse
from mirrorsync.upstream.index import SimpleIndex

XML_SILENCE: Final = 90.0
"""Seconds without a byte; PyPI's edge waits 60 s for a response that the origin is still computing."""
PAUSE: Final = 2.0
"""Seconds between calls to PyPI, whose real limit is lower than the documented one."""
XML_LIMIT: Final = 64 * MIB
"""Bytes decoded. A full response of 50,000 rows has about 14 MB."""
_MISSING: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED}
)
_FIELDS: Final = 5
_SERIAL_MAX: Final = 2**63 - 1
"""The largest serial that the database can hold; PyPI's are below 2^31."""
_ROLE_ACTION: Final = re.compile(
    r"(?:add|remove|accepted|invite|revoke_invite) (?:Owner|Maintainer) (?!file ).+"
    r"|change (?:Owner|Maintainer) .+ to (?:Owner|Maintainer)"
)
"""Changes of roles raise the page's serial and change no file. `add <tag> file <name>` may have any tag."""
_NOT_A_PROJECT: Final = re.compile(r"add alternate repository .+ to project .+|deleted alternate repository .+ from .+")
"""Rows of one week in September 2024, whose name is a label that a user chose."""
_SMALL: Final = 64 * 1024
"""Bytes; parsing a smaller response costs less than a hop to a thread."""
_FALL_BACK: Final = "the root list is used instead"


class PyPIUpstream(SimpleIndex):
    """`ports.Upstream` with a changelog at `<index>/pypi`."""

    def __init__(
        self, client: Client, *, base_url: str, identity: str, pause: float = 0.0, silence: float = XML_SILENCE
    ) -> None:
        """Wait `pause` seconds between calls; a call fails after `silence` seconds without a byte."""
        super().__init__(client, base_url=base_url, identity=identity)
        self._pause = pause
        self._silence = silence
        self._turn = trio.Lock()
        self._not_before = -math.inf

    async def last_serial(self) -> Serial | None:
        """Return the newest serial; None if the changelog is empty.

        Raises: NoChangelog (missing, or broken after retries), Unreachable, Throttled.
        """
        value, what = await self._call("changelog_last_serial")
        return None if value is None else self._serial(value, what)

    async def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:
        """Yield the rows above `since`, at most 50,000 a batch, until a response is empty.

        No connection is held between batches.
        Raises: NoChangelog (missing, or broken after retries), Unreachable, Throttled.
        """
        while True:
            rows, what = await self._call("changelog_since_serial", since)
            batch = self._batch(rows, since, what)
            if batch is None:
                return
            yield batch
            since = batch.upto

    def _batch(self, rows: Any, since: Serial, what: str) -> ChangeBatch | None:
        try:
            return to_batch(rows, since=since, what=what)
        except Malformed as broken:
            raise _no_changelog(broken) from broken

    def _serial(self, value: Any, what: str) -> Serial:
        try:
            return to_serial(value, what=what)
        except Malformed as broken:
            raise _no_changelog(broken) from broken

    async def _call(self, method: str, *arguments: int) -> tuple[Any, str]:
        """Return the value of `method`, and the call as operators read it."""
        request = Request(
            url=parse(f"{self._base_url}/pypi"),
            method="POST",
            headers=(("Content-Type", xmlrpc.MEDIA_TYPE), ("Accept", xmlrpc.MEDIA_TYPE), ("Accept-Encoding", "gzip")),
            content=xmlrpc.dumps(method, *arguments),
            wanted=_MISSING | {HTTPStatus.OK},
            silence=self._silence,
        )
        what = f"{method}({', '.join(map(str, arguments))}) at {request.url}"

        async def attempt() -> Any:
            await self._wait_for_turn()
            async with self._client.open(request) as response:
                return await _read_value(response, what)

        try:
            return await self._client.retry(attempt), what
        except (Malformed, ServerFault) as broken:
            raise _no_changelog(broken) from broken

    async def _wait_for_turn(self) -> None:
        async with self._turn:
            await trio.sleep_until(self._not_before)
            self._not_before = trio.current_time() + self._pause


async def _read_value(response: Response, what: str) -> Any:
    if response.status in _MISSING:
        raise NoChangelog(what, why=f"HTTP {response.status}: this index has no XML-RPC", hint=_FALL_BACK)
    if response.media_type not in (xmlrpc.MEDIA_TYPE, "application/xml"):
        raise wrong_type(what, found=response.media_type, wanted=xmlrpc.MEDIA_TYPE)
    body = await response.read(XML_LIMIT)
    if len(body) <= _SMALL:
        return xmlrpc.loads(body, what=what)
    return await trio.to_thread.run_sync(lambda: xmlrpc.loads(body, what=what))


def _no_changelog(broken: Malformed | ServerFault) -> NoChangelog:
    return NoChangelog(broken.what, why=broken.why, hint=broken.hint or _FALL_BACK)


def to_batch(rows: Any, *, since: Serial, what: str) -> ChangeBatch | None:
    """Return the rows of one `changelog_since_serial` as a batch; None if there are none.

    Rows that name no project are left out, but count for `upto`. Unknown actions touch the page.
    Raises: Malformed, if these are no rows, or do not ascend from `since`.
    """
    if not isinstance(rows, list):
        raise Malformed(what, why=f"the response is {type(rows).__name__}, not a list of rows")
    changes: list[Change] = []
    last = since
    for row in rows:
        name, version, action, serial = _fields(row, what)
        if serial <= last:
            raise Malformed(what, why=f"serial {serial} comes after {last}: the rows do not ascend")
        last = serial
        change = _to_change(name, version, action, serial)
        if change is not None:
            changes.append(change)
    return ChangeBatch(upto=last, changes=tuple(changes)) if rows else None


def _to_change(name: str, version: str | None, action: str, serial: Serial) -> Change | None:
    if version is None and _NOT_A_PROJECT.fullmatch(action):
        return None
    try:
        normalised = project_name(name)
    except Malformed:
        return None
    return Change(
        name=normalised,
        display_name=name,
        serial=serial,
        removes_project=action == "remove project" or (action == "remove" and version is None),
        touches_page=version is not None or not _ROLE_ACTION.fullmatch(action),
    )


def to_serial(value: Any, *, what: str) -> Serial:
    """Return `value` as a serial. Raises: Malformed."""
    if type(value) is not int or not 0 <= value <= _SERIAL_MAX:  # True is an int to isinstance
        raise Malformed(what, why=f"{reprlib.repr(value)} is not a serial")
    return Serial(value)


def _fields(row: Any, what: str) -> tuple[str, str | None, str, Serial]:
    if not isinstance(row, list) or len(row) != _FIELDS:
        raise Malformed(what, why=f"a row is not a list of {_FIELDS} values: {reprlib.repr(row)}")
    name, version, _, action, serial = row
    if not all(text is None or isinstance(text, str) for text in (name, version, action)):
        raise Malformed(what, why=f"a row's name, version or action is not text: {reprlib.repr(row)}")
    return name or "", version, action or "", to_serial(serial, what=what)
