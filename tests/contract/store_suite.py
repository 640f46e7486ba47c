"""The conformance suite of `mirrorsync.ports.Store`: subclass `StoreSuite` and provide its two fixtures."""

import gc
import hashlib
from collections.abc import Awaitable, Callable

import pytest
import trio

from mirrorsync.errors import LowSpace, StoreDenied, WrongDigest, WrongSize
from mirrorsync.model.identity import StorePath, store_path
from mirrorsync.model.objects import Expect, Small
from mirrorsync.ports import Store

MIB = 1 << 20
PATH = store_path("packages", "aa", "bb", "cc" * 30, "sample-1.0.tar.gz")
PAGE = store_path("simple", "sample", "index.html")
SMALL = b"a small body"
LARGE = b"0123456789abcdef" * (3 * MIB // 16) + b"and a tail"


def expect(body: bytes) -> Expect:
    return Expect(size=len(body), sha256=hashlib.sha256(body).digest(), limit=len(body))


async def body_at(store: Store, path: StorePath) -> bytes | None:
    if await store.stat(path) is None:
        return None
    return b"".join([chunk async for chunk in store.read(path)])


async def put(store: Store, path: StorePath, body: bytes, promise: Expect | None = None) -> int:
    async with store.stage(path, promise or expect(body)) as staged:
        for start in range(0, len(body), 65_536):
            await staged.write(body[start : start + 65_536])
        return await staged.commit()


async def paths(store: Store, *prefix: str) -> set[str]:
    return {found.path async for found in store.list(store_path(*prefix))}


class CancelAt(trio.abc.Instrument):
    """Cancels `scope` when its task waits for the `number`th time."""

    def __init__(self, number: int) -> None:
        self.scope = trio.CancelScope()
        self.left = number
        self._task = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.left -= 1
            if self.left == 0:
                self.scope.cancel()


async def cancelled_at(number: int, work: Callable[[], Awaitable[object]]) -> bool:
    """Do `work`, cancelled at its `number`th await; return True if it waited that often."""
    canceller = CancelAt(number)
    trio.lowlevel.add_instrument(canceller)
    try:
        with canceller.scope:
            await work()
    finally:
        trio.lowlevel.remove_instrument(canceller)
    return canceller.left <= 0


class StoreSuite:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def leftovers(self, store: Store) -> Callable[[], int]:
        """Count the staged objects."""
        raise NotImplementedError

    @pytest.mark.parametrize("body", [b"", SMALL, LARGE[:MIB], LARGE], ids=["empty", "small", "1 MiB", "large"])
    async def test_committed_object_is_read_back_byte_for_byte(
        self, store: Store, leftovers: Callable[[], int], body: bytes
    ) -> None:
        assert await put(store, PATH, body) == len(body)
        assert await body_at(store, PATH) == body
        found = await store.stat(PATH)
        assert found is not None
        assert (found.path, found.size) == (PATH, len(body))
        assert leftovers() == 0

    async def test_nothing_is_visible_before_the_commit(self, store: Store) -> None:
        async with store.stage(PATH, expect(LARGE)) as staged:
            await staged.write(LARGE)
            assert await store.stat(PATH) is None
            assert await paths(store) == set()
            await staged.commit()
            assert await paths(store) == {PATH}

    @pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
    async def test_leaving_without_a_commit_leaves_nothing(
        self, store: Store, leftovers: Callable[[], int], body: bytes
    ) -> None:
        async def break_off(error: type[Exception] | None) -> None:
            async with store.stage(PATH, expect(body)) as staged:
                await staged.write(body)
                if error is not None:
                    raise error

        await break_off(None)
        with pytest.raises(ZeroDivisionError):
            await break_off(ZeroDivisionError)
        assert await paths(store) == set()
        assert leftovers() == 0

    @pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
    async def test_wrong_digest_leaves_the_previous_object(
        self, store: Store, leftovers: Callable[[], int], body: bytes
    ) -> None:
        await put(store, PATH, b"the older")
        wrong = body[:-1] + b"!"
        with pytest.raises(WrongDigest) as caught:
            await put(store, PATH, wrong, expect(body))
        assert await body_at(store, PATH) == b"the older"
        assert leftovers() == 0
        assert hashlib.sha256(wrong).hexdigest()[:16] in caught.value.why
        assert hashlib.sha256(body).hexdigest()[:16] in caught.value.why
        assert PATH in caught.value.what
        assert caught.value.hint

    @pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
    async def test_a_truncated_body_leaves_nothing(
        self, store: Store, leftovers: Callable[[], int], body: bytes
    ) -> None:
        with pytest.raises(WrongSize, match=f"got {len(body) - 1:,} bytes, promised are {len(body):,} bytes"):
            await put(store, PATH, body[:-1], expect(body))
        assert await paths(store) == set()
        assert leftovers() == 0

    @pytest.mark.parametrize("promise", [Expect(size=12, sha256=None), Expect(size=None, sha256=None, limit=12)])
    async def test_too_long_body_is_refused_at_the_exceeding_chunk(
        self, store: Store, leftovers: Callable[[], int], promise: Expect
    ) -> None:
        async with store.stage(PATH, promise) as staged:
            await staged.write(b"x" * 12)
            with pytest.raises(WrongSize, match="allowed are 12 bytes"):
                await staged.write(b"x")
            with pytest.raises(WrongSize):
                await staged.commit()
        assert await paths(store) == set()
        assert leftovers() == 0

    async def test_body_without_expectations_is_accepted(self, store: Store) -> None:
        await put(store, PATH, LARGE, Expect(size=None, sha256=None))
        assert await body_at(store, PATH) == LARGE

    async def test_commit_replaces_the_previous_object(self, store: Store) -> None:
        await put(store, PATH, LARGE)
        await put(store, PATH, SMALL)
        assert await body_at(store, PATH) == SMALL

    async def test_two_writers_of_one_path_leave_one_complete_body(self, store: Store) -> None:
        async with trio.open_nursery() as nursery:
            for body in (LARGE, LARGE[::-1]):
                nursery.start_soon(put, store, PATH, body)
        assert await body_at(store, PATH) in (LARGE, LARGE[::-1])

    async def test_publish_replaces_and_leaves_an_equal_body_untouched(self, store: Store) -> None:
        assert await store.publish(PAGE, b"one")
        before = await store.stat(PAGE)
        assert not await store.publish(PAGE, b"one")
        assert await store.stat(PAGE) == before
        assert await store.publish(PAGE, b"two")
        assert await body_at(store, PAGE) == b"two"
        assert await store.publish(PAGE, LARGE)
        assert await body_at(store, PAGE) == LARGE

    async def test_small_objects_fail_independently(self, store: Store, leftovers: Callable[[], int]) -> None:
        await put(store, PATH, b"the older")
        bodies = {PATH: SMALL[:-1] + b"!", PAGE: SMALL, store_path("a"): SMALL[:-1], store_path("b"): SMALL + b"!"}
        results = await store.store_all([Small(path=path, expect=expect(SMALL), body=bodies[path]) for path in bodies])
        assert [type(result) for result in results] == [WrongDigest, int, WrongSize, WrongSize]
        assert results[1] == len(SMALL)
        assert await paths(store) == {PATH, PAGE}
        assert await body_at(store, PATH) == b"the older"
        assert leftovers() == 0

    async def test_small_object_replaces_the_earlier_one_at_its_path(self, store: Store) -> None:
        await put(store, PATH, LARGE)
        both = [Small(path=PATH, expect=expect(body), body=body) for body in (SMALL, SMALL[::-1])]
        assert await store.store_all(both) == [len(SMALL)] * 2
        assert await body_at(store, PATH) in (SMALL, SMALL[::-1])

    async def test_pages_are_published_in_their_order(self, store: Store) -> None:
        assert await store.publish_all([(PAGE, b"one"), (PATH, SMALL), (PAGE, b"two")]) == 3
        assert await body_at(store, PAGE) == b"two"
        assert await store.publish_all([(PAGE, b"two"), (PATH, LARGE)]) == 1
        assert await body_at(store, PATH) == LARGE

    async def test_an_empty_body_is_published(self, store: Store) -> None:
        assert await store.publish(PAGE, b"")
        assert not await store.publish(PAGE, b"")
        assert await body_at(store, PAGE) == b""

    async def test_object_at_the_top_level_is_supported(self, store: Store) -> None:
        assert await store.publish(store_path("last-modified"), b"now")
        assert await body_at(store, store_path("last-modified")) == b"now"
        await store.delete(store_path("last-modified"))
        assert await paths(store) == set()

    async def test_reading_a_missing_object_is_denied(self, store: Store) -> None:
        await put(store, PATH, SMALL)
        for absent in (PAGE, store_path("packages"), store_path("packages", "aa", "none")):
            with pytest.raises(StoreDenied) as caught:
                await anext(aiter(store.read(absent)))
            assert caught.value.hint

    async def test_chunks_have_at_most_one_mebibyte(self, store: Store) -> None:
        await put(store, PATH, LARGE)
        sizes = [len(chunk) async for chunk in store.read(PATH)]
        assert sum(sizes) == len(LARGE)
        assert 0 < max(sizes) <= MIB

    async def test_reading_and_listing_can_be_abandoned(self, store: Store) -> None:
        await put(store, PATH, LARGE)
        await put(store, PAGE, SMALL)
        async for _ in store.read(PATH):
            break
        async for _ in store.list(store_path()):
            break
        gc.collect()  # an async generator would warn here
        await store.delete(PATH)

    async def test_a_directory_is_no_object(self, store: Store) -> None:
        await put(store, PATH, SMALL)
        assert await store.stat(store_path("packages")) is None
        assert await store.stat(store_path("packages", "aa")) is None
        assert await store.stat(store_path("packages", "zz", "none")) is None

    async def test_delete_can_be_repeated(self, store: Store) -> None:
        beside = StorePath(f"{PATH}.metadata")
        await put(store, PATH, SMALL)
        await put(store, beside, SMALL)
        for _ in range(2):
            await store.delete(PATH)
            assert await paths(store) == {beside}
        await store.delete(beside)
        assert await paths(store) == set()
        await put(store, PATH, SMALL)
        assert await paths(store) == {PATH}

    async def test_list_yields_every_object_below_its_prefix_and_no_other(self, store: Store) -> None:
        names = [("packages", "aa", f"{number:04}", "x") for number in range(1500)]
        for name in (*names, ("packages2", "x"), ("packages", "ab", "x")):
            await store.publish(store_path(*name), b"x")
        assert await paths(store, "packages", "aa") == {"/".join(name) for name in names}
        assert len(await paths(store, "packages")) == len(names) + 1
        assert len(await paths(store)) == len(names) + 2
        assert await paths(store, "simple") == set()

    async def test_listing_agrees_with_stat(self, store: Store) -> None:
        await put(store, PATH, SMALL)
        assert [found async for found in store.list(store_path("packages"))] == [await store.stat(PATH)]

    @pytest.mark.parametrize("name", ["x" * 251 + ".whl", "ü" * 127, "+~!@ $%^&*()[]{};'\",<>?`|=\n", "-rf", "…"])
    async def test_every_valid_path_can_be_stored(self, store: Store, name: str) -> None:
        path = store_path("packages", "aa", name)
        await put(store, path, SMALL)
        assert await body_at(store, path) == SMALL
        assert await paths(store) == {path}
        await store.delete(path)
        assert await store.stat(path) is None

    @pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
    async def test_commit_cancelled_at_any_await_is_all_or_nothing(
        self, store: Store, leftovers: Callable[[], int], body: bytes
    ) -> None:
        number = 1
        while await cancelled_at(number, lambda: put(store, PATH, body)):
            assert await body_at(store, PATH) in (None, body)
            assert leftovers() == 0
            await store.delete(PATH)
            number += 1
        assert number > 2
        assert await body_at(store, PATH) == body

    async def test_publish_cancelled_at_any_await_leaves_the_old_or_new_page(
        self, store: Store, leftovers: Callable[[], int]
    ) -> None:
        number = 1
        await store.publish(PAGE, b"old")
        while await cancelled_at(number, lambda: store.publish(PAGE, b"new")):
            assert await body_at(store, PAGE) in (b"old", b"new")
            assert leftovers() == 0
            await store.publish(PAGE, b"old")
            number += 1
        assert await body_at(store, PAGE) == b"new"

    async def test_storing_and_deleting_in_parallel_do_not_interfere(self, store: Store) -> None:
        async def come_and_go(name: str) -> None:
            for _ in range(20):
                await put(store, store_path("packages", "aa", "bb", name), SMALL)
                await store.delete(store_path("packages", "aa", "bb", name))
            await put(store, store_path("packages", "aa", "bb", name), SMALL)

        async with trio.open_nursery() as nursery:
            for number in range(16):
                nursery.start_soon(come_and_go, str(number))
        assert await paths(store) == {f"packages/aa/bb/{number}" for number in range(16)}

    async def test_check_and_settle_can_be_called_at_any_time(self, store: Store) -> None:
        await store.check()
        await put(store, PATH, SMALL)
        await store.settle()
        await store.check()
        await store.settle()
        assert await body_at(store, PATH) == SMALL

    async def test_more_than_the_free_space_is_refused_without_reserving_it(self, store: Store) -> None:
        free = await store.free_bytes()
        if free is not None:
            with pytest.raises(LowSpace):
                await store.expect_room(2 * free)
        for _ in range(3):
            await store.expect_room(0 if free is None else free // 2)
        assert await put(store, PATH, SMALL) == len(SMALL)

    async def test_free_space_is_in_bytes_or_unlimited(self, store: Store) -> None:
        free = await store.free_bytes()
        assert free is None or free > 0
