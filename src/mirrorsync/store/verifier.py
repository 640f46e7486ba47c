"""Verifying a body against the size and digest in its page."""

import hashlib

from mirrorsync.errors import WrongDigest, WrongSize
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Chunk, Expect

_HINT = "nothing was stored; the usual cause is a proxy that rewrites archives"


def verify_whole(path: StorePath, expect: Expect, body: bytes) -> None:
    """Verify a whole body. Raises: WrongSize, WrongDigest."""
    received = len(body)
    _refuse_excess(path, expect, received)
    _refuse_wrong(path, expect, received, b"" if expect.sha256 is None else hashlib.sha256(body).digest())


class Verifier:
    """Verifies one body against `expect`, chunk by chunk."""

    def __init__(self, path: StorePath, expect: Expect) -> None:
        self.received = 0
        """Bytes received, including refused ones."""
        self._path = path
        self._expect = expect
        self._sha256 = hashlib.sha256()

    def admit(self, size: int) -> None:
        """Count `size` more bytes. Raises: WrongSize, when the body exceeds its limit."""
        self.received += size
        _refuse_excess(self._path, self._expect, self.received)

    def update(self, body: Chunk) -> None:
        """Hash admitted bytes. Blocks for milliseconds on large ones: call it in a thread."""
        if self._expect.sha256 is not None:
            self._sha256.update(body)

    def verify(self) -> None:
        """Verify the body after its last chunk was admitted and hashed. Raises: WrongSize, WrongDigest."""
        _refuse_excess(self._path, self._expect, self.received)
        _refuse_wrong(self._path, self._expect, self.received, self._sha256.digest())


def _refuse_excess(path: StorePath, expect: Expect, received: int) -> None:
    for bound in (expect.size, expect.limit):
        if bound is not None and received > bound:
            allowed = bound if expect.size is None or expect.limit is None else min(expect.size, expect.limit)
            raise WrongSize(
                f"{path} is too long",
                why=f"got {received:,} bytes or more, allowed are {allowed:,} bytes",
                hint=_HINT,
            )


def _refuse_wrong(path: StorePath, expect: Expect, received: int, digest: bytes) -> None:
    if expect.size is not None and received != expect.size:
        raise WrongSize(
            f"{path} is too short",
            why=f"got {received:,} bytes, promised are {expect.size:,} bytes",
            hint=_HINT,
        )
    if expect.sha256 is not None and digest != expect.sha256:
        got, promise = (f"{value.hex()[:16]}…" for value in (digest, expect.sha256))
        raise WrongDigest(
            f"{path} is not the file that its page names",
            why=f"got sha256 {got}, promised is {promise} ({received:,} bytes)",
            hint=_HINT,
        )
