import gzip
import tracemalloc
from collections.abc import Iterable

import pytest

from mirrorsync.errors import Malformed
from mirrorsync.upstream.http.errors import CutShort
from mirrorsync.upstream.http.inflate import Inflater

MIB = 1024 * 1024


def inflate(chunks: Iterable[bytes], *, coding: str = "gzip", limit: int = 64 * MIB) -> bytes:
    inflater = Inflater("page", coding=coding, limit=limit)
    body = b"".join(piece for chunk in chunks for piece in inflater.feed(chunk))
    inflater.end()
    return body


@pytest.mark.parametrize("size", [0, 1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3 * MIB])
@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_gzip_is_decoded_for_any_chunk_size(size: int, step: int) -> None:
    body = b"a" * size
    packed = gzip.compress(body)
    assert inflate(packed[start : start + step] for start in range(0, len(packed), step)) == body


def test_several_gzip_members_are_one_body() -> None:
    assert inflate([gzip.compress(b"one "), gzip.compress(b"two ") + gzip.compress(b"three")]) == b"one two three"


def test_bomb_is_refused_at_its_limit_without_using_memory() -> None:
    bomb = gzip.compress(bytes(64 * MIB))
    assert len(bomb) < 70 * 1024
    tracemalloc.start()
    with pytest.raises(Malformed, match="more than 8 MiB"):
        for _ in Inflater("page", coding="gzip", limit=8 * MIB).feed(bomb):
            pass
    assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    tracemalloc.stop()


@pytest.mark.parametrize("kept", [1, 10, 500, 1007])
def test_gzip_that_ends_early_is_cut_short(kept: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 4, compresslevel=0)
    assert len(packed) > 1007
    with pytest.raises(CutShort):
        inflate([packed[:kept]])


@pytest.mark.parametrize("body", [b"<html>not gzip</html>", gzip.compress(b"x", mtime=0) + b"trailing"])
def test_invalid_gzip_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        inflate([body])


@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "gzip, gzip"])
def test_unrequested_coding_is_malformed(coding: str) -> None:
    with pytest.raises(Malformed, match="coding"):
        inflate([b""], coding=coding)


def test_identity_is_bounded() -> None:
    with pytest.raises(Malformed, match="more than"):
        inflate([b"12345", b"67890"], coding="identity", limit=9)
