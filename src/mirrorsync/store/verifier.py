"""Whether a body is what its page promises: counted chunk by chunk, hashed, and judged at the end."""

import hashlib

from mirrorsync.errors import WrongDigest, WrongSize
from mirrorsync.model.blob import Expect
from mirrorsync.model.identity import StorePath

_HINT = "nothing of it was stored; a proxy that rewrites archives is the usual cause"


class Verifier:
    """Judges one body against `expect`."""

    def __init__(self, path: StorePath, expect: Expect) -> None:
        self.received = 0
        """Bytes that have come, refused ones included."""
        self._path = path
        self._expect = expect
        self._bounds = [bound for bound in (expect.size, expect.limit) if bound is not None]
        self._sha256 = hashlib.sha256()

    def admit(self, size: int) -> None:
        """Count `size` more bytes. Raises: WrongSize, when they are more than may come."""
        self.received += size
        self._refuse_excess()

    def update(self, body: bytes) -> None:
        """Hash bytes that were admitted. May take long: call it in a thread."""
        if self._expect.sha256 is not None:
            self._sha256.update(body)

    def verify(self) -> None:
        """Judge what has come, all of it admitted and hashed. Raises: WrongSize, WrongDigest."""
        self._refuse_excess()
        promised = self._expect.size
        if promised is not None and self.received != promised:
            raise WrongSize(
                f"{self._path} is too short",
                why=f"got {self.received:,} bytes, promised are {promised:,} bytes",
                hint=_HINT,
            )
        digest = self._sha256.digest()
        if self._expect.sha256 is not None and digest != self._expect.sha256:
            got, promise = (f"{value.hex()[:16]}…" for value in (digest, self._expect.sha256))
            raise WrongDigest(
                f"{self._path} is not the file that its page names",
                why=f"got sha256 {got}, promised is {promise} ({self.received:,} bytes)",
                hint=_HINT,
            )

    def _refuse_excess(self) -> None:
        if self._bounds and self.received > min(self._bounds):
            raise WrongSize(
                f"{self._path} is too long",
                why=f"got {self.received:,} bytes or more, allowed are {min(self._bounds):,} bytes",
                hint=_HINT,
            )
