"""The ports: where the mirror's objects are stored, where they come from, and who is notified of changes.

The first two each have a conformance suite in tests/contract/ that every implementation passes.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.change import ChangeBatch, SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial, StorePath
from mirrorsync.model.notification import Announcement
from mirrorsync.model.objects import Chunk, Expect, ObjectInfo, Remote, Small
from mirrorsync.model.page import PageRequest, PageResult


class Staged(Protocol):
    """A staged object: invisible, and discarded unless it is committed."""

    async def write(self, chunk: Chunk) -> None:
        """Append `chunk`, and hash it.

        Raises: WrongSize as soon as there is more than `Expect` allows; StoreError.
        """
        ...

    async def commit(self) -> int:
        """Verify the object, make it visible at its path in place of an earlier one, and return its size in bytes.

        Its data is durable before its name appears; the name is durable after the next `Store.settle`.
        Raises: WrongSize, WrongDigest (nothing is visible then); StoreError.
        Cancellation: it is visible whole or not at all.
        """
        ...


class Store(Protocol):
    """The served tree. A path is visible whole or not at all; the tree never contains temporary files."""

    def stage(self, path: StorePath, expect: Expect) -> AbstractAsyncContextManager[Staged]:
        """Open an object for writing; leaving the context without `commit` discards it."""
        ...

    async def expect_room(self, size: int) -> None:
        """Return if `size` bytes could be stored now; nothing is reserved. Call it before fetching them.

        It may use a measurement of the last second. Raises: LowSpace, as storing them would; StoreError.
        """
        ...

    async def store_all(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        """Stage and commit small objects together; return the size or the failure of each, in their order.

        Each is visible whole or not at all, as with `stage`. Objects with a size are durable, including their names.
        An object that cannot be made durable fails, although it may be visible. Raises: StoreError.
        Cancellation: those that are visible stay.
        """
        ...

    async def publish(self, path: StorePath, body: bytes) -> bool:
        """Replace the object at `path` atomically, unless its body is equal; return True if it was replaced.

        It is durable afterwards, as with `publish_all`. Raises: StoreError.
        """
        ...

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        """Publish each of the pages, in their order, up to the first that fails; return how many were replaced.

        All of them are durable then, including the unchanged ones. Raises: StoreError; some may be replaced then.
        """
        ...

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        """Return the object at `path`; None if there is none."""
        ...

    def read(self, path: StorePath) -> AsyncIterator[bytes]:
        """Yield the object's bytes in chunks of at most 1 MiB.

        Raises: StoreDenied if there is none; StoreUnreachable.
        """
        ...

    async def delete(self, path: StorePath) -> None:
        """Delete the object at `path` and the directories that become empty; a missing object is no error."""
        ...

    def list(self, prefix: StorePath) -> AsyncIterator[ObjectInfo]:
        """Yield every object below `prefix`, in any order."""
        ...

    async def settle(self) -> None:
        """Return once everything that was committed or deleted before the call survives a power cut.

        That includes the changes of an earlier process. Those of `store_all` and `publish_all` are durable already; if
        there are no others, this costs almost nothing. Raises: StoreError.
        """
        ...

    async def free_bytes(self) -> int | None:
        """Return the bytes that can still be written; None if the store has no limit."""
        ...

    async def check(self) -> None:
        """Check that objects can be written, and remove what an earlier run left staged.

        Raises: StoreDenied, StoreFull, StoreUnreachable, with a hint.
        """
        ...


class Upstream(Protocol):
    """An index that is mirrored."""

    identity: str
    """The identity of the index, recorded with the mirror; a mirror refuses another one."""

    async def last_serial(self) -> Serial | None:
        """Return the newest serial; None if the changelog is empty.

        Raises: NoChangelog; Unreachable, Throttled.
        """
        ...

    def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:
        """Yield the changelog's rows above `since` in ascending order, until a response is empty.

        The caller closes it (`aclosing`). Raises: NoChangelog (missing or broken), Unreachable, Throttled; the batches
        yielded before remain valid.
        """
        ...

    def snapshot(self) -> AsyncGenerator[SnapshotPart, None]:
        """Yield the root list in parts of bounded size; it is complete only if the iteration ends without an error.

        The caller closes it (`aclosing`). Raises: NoListing, Malformed (cut, not JSON, not a list), Unreachable,
        Throttled.
        """
        ...

    def pages(
        self, requests: Sequence[PageRequest]
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[PageResult]]]:
        """Request project pages together; iterate over their results in groups, as they arrive.

        Each request has exactly one result. A group holds all results that are available without waiting. A request
        that is retried, or held up for more than 2 seconds behind a slow response, is sent again on its own, so that
        it delays no other; its result is in a later group.
        Errors in results: StalePage (a cache is behind), ProjectGone (404), Malformed, Unreachable, Throttled.
        Leaving the context cancels the requests that have no result yet. Cancel-safe: nothing is written.
        Source: PEP 691.
        """
        ...

    async def release_data(self, project: ProjectName) -> bytes | None:
        """Return the legacy JSON document of `project`, unchanged; None if there is none (404).

        A project without a visible release has none, so None does not mean that the project is gone.
        Raises: Malformed (not JSON, another project's), Unreachable, Throttled. Source: `/pypi/<name>/json`.
        """
        ...

    async def is_absent(self, project: ProjectName) -> bool:
        """Return True if another resource than the page, the second witness, shows that `project` does not exist.

        Raises: Unreachable, Throttled.
        """
        ...

    async def trace(self) -> bytes:
        """Return the trace of an index that is itself a mirrorsync; empty if it has none or cannot be read.

        At most 64 KiB, requested seldom, not validated. Cancel-safe.
        Source: `mirrorsync/trace.json`.
        """
        ...

    async def fetch_all(self, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
        """Return small bodies whole, `limit` bytes each at most, or their failures, in the order of `remotes`.

        They are requested together on one connection per host, if the host supports it.
        Failures: Missing, Refused, Truncated, WrongSize, Unreachable, Throttled.
        """
        ...

    def open(self, remote: Remote) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Open a body: undecoded chunks that resume by Range over broken connections, `limit` bytes at most.

        Raises: Missing, Refused on entering; while iterating Truncated (budget spent), WrongSize, Unreachable.
        """
        ...


class Sink(Protocol):
    """A receiver of public changes: a cache, a CDN, a command, a web address."""

    @property
    def name(self) -> str:
        """Its name in the state and in messages, without secrets."""
        ...

    @property
    def max_changes(self) -> int:
        """Changes in one announcement, at most."""
        ...

    async def announce(self, announcement: Announcement) -> str:
        """Notify the sink; return a text for the operator, usually empty.

        It ends within a time limit of its own, because the end of a run waits for it. Raises: MirrorsyncError; all of
        the announcement is then repeated later. Cancellation: the sink may be notified or not.
        """
        ...
