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
    """An object on its way in: invisible, and gone unless it is committed."""

    async def write(self, chunk: Chunk) -> None:
        """Append `chunk`, and hash it.

        Raises: WrongSize as soon as more has come than `Expect` allows; StoreError.
        """
        ...

    async def commit(self) -> int:
        """Verify, then make the object visible under its path, replacing what stood there; return its bytes.

        Its data is durable before its name appears; the name is durable after the next `Store.settle`.
        Raises: WrongSize, WrongDigest (nothing is visible then); StoreError.
        Cancellation: it is either visible whole or not at all.
        """
        ...


class Store(Protocol):
    """The served tree. A path is visible whole or not at all; nothing temporary ever stands in it."""

    def stage(self, path: StorePath, expect: Expect) -> AbstractAsyncContextManager[Staged]:
        """Open an object for writing; leaving the context without `commit` discards it."""
        ...

    async def expect_room(self, size: int) -> None:
        """Return if `size` bytes could be stored now: to be asked before they are fetched, for it promises nothing.

        It may go by what was measured a second ago. Raises: LowSpace, as storing them would; StoreError.
        """
        ...

    async def store_all(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        """Stage and commit small objects together; return each one's bytes or its failure, in their order.

        Each is visible whole or not at all, as by `stage`; what this returns the bytes of is durable, its name too.
        When it cannot be made durable it fails, although it may be visible. Raises: StoreError.
        Cancellation: those that are visible stay.
        """
        ...

    async def publish(self, path: StorePath, body: bytes) -> bool:
        """Replace the object at `path` atomically; an equal body is left untouched. True if it was replaced.

        Durable afterwards, as by `publish_all`. Raises: StoreError.
        """
        ...

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        """Publish each of the pages, in their order, up to the first that fails; return how many were replaced.

        All of them are durable then, those too that stood already. Raises: StoreError; some may be replaced then.
        """
        ...

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        """Return what stands at `path`, None if nothing does."""
        ...

    def read(self, path: StorePath) -> AsyncIterator[bytes]:
        """Yield the object's bytes in chunks of at most 1 MiB.

        Raises: StoreDenied when there is none; StoreUnreachable.
        """
        ...

    async def delete(self, path: StorePath) -> None:
        """Make `path` absent, and directories that this empties; absent already is success."""
        ...

    def list(self, prefix: StorePath) -> AsyncIterator[ObjectInfo]:
        """Yield every object below `prefix`, in no order."""
        ...

    async def settle(self) -> None:
        """Return when all that was committed or deleted before the call survives a power cut.

        That includes what an earlier process did. What `store_all` and `publish_all` leave survives without: where
        there is nothing else, this costs next to nothing. Raises: StoreError.
        """
        ...

    async def free_bytes(self) -> int | None:
        """Return the bytes that can still be written, None where the store has no such limit."""
        ...

    async def check(self) -> None:
        """Prove, before any work, that objects can be written; remove what a dead run left staged.

        Raises: StoreDenied, StoreFull, StoreUnreachable, with a hint.
        """
        ...


class Upstream(Protocol):
    """An index that is mirrored."""

    identity: str
    """What this index is, recorded with the mirror; another one later is refused."""

    async def last_serial(self) -> Serial | None:
        """Return the newest serial, None when the journal is empty.

        Raises: NoChangelog; Unreachable, Throttled.
        """
        ...

    def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:
        """Yield the journal's rows above `since` in ascending order, until an answer is empty.

        To be closed by whoever iterates (`aclosing`). Raises: NoChangelog (missing or broken), Unreachable,
        Throttled; what was yielded before stays true.
        """
        ...

    def snapshot(self) -> AsyncGenerator[SnapshotPart, None]:
        """Yield the root list in parts of bounded size; whole only if the iteration ends without an error.

        To be closed by whoever iterates (`aclosing`). Raises: NoListing, Malformed (cut, not JSON, not a list),
        Unreachable, Throttled.
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
        """Return the legacy JSON document of `project` as upstream words it; None when it has none (404).

        A project without a visible release has none, so this says nothing of the project itself.
        Raises: Malformed (not JSON, another project's), Unreachable, Throttled. Source: `/pypi/<name>/json`.
        """
        ...

    async def is_absent(self, project: ProjectName) -> bool:
        """Ask a second witness, another resource than the page, whether the index knows `project` no more.

        Raises: Unreachable, Throttled.
        """
        ...

    async def trace(self) -> bytes:
        """Return what the index, itself a mirror of this kind, tells of where all came from; empty where it does not.

        At most 64 KiB, asked for seldom, and believed by nobody. Failures are an empty answer. Cancel-safe.
        Source: `mirrorsync/trace.json`.
        """
        ...

    async def fetch_all(self, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
        """Return small bodies whole, `limit` bytes each at most, or their failures, in the order of `remotes`.

        They are asked for one after the other, without a wait between them where the host allows it.
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
