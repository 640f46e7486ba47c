"""System errors as messages to an operator."""

import errno
import os

import pytest

from mirrorsync.errors import StoreDenied, StoreError, StoreFull, StoreUnreachable
from mirrorsync.store.errors import store_error


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, StoreFull, "free space"),
        (errno.EDQUOT, StoreFull, "quota"),
        (errno.EACCES, StoreDenied, "own"),
        (errno.EPERM, StoreDenied, "own"),
        (errno.EROFS, StoreDenied, "writable"),
        (errno.EIO, StoreDenied, "failing"),
        (errno.ENOENT, StoreDenied, "mounted"),
        (errno.EXDEV, StoreDenied, "one file system"),
        (errno.EMFILE, StoreUnreachable, "LimitNOFILE"),
        (errno.ENFILE, StoreUnreachable, "LimitNOFILE"),
        (errno.EUCLEAN, StoreDenied, "dmesg"),
    ],
)
def test_every_error_has_what_why_and_hint(number: int, kind: type[StoreError], word: str) -> None:
    error = store_error(OSError(number, os.strerror(number), b"packages/\xc3\xbc"), "the thing cannot be stored")
    assert type(error) is kind
    assert str(error) == f"the thing cannot be stored: {os.strerror(number)} (packages/ü)"
    assert word in error.hint
