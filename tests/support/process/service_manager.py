"""A service manager as far as a service can tell: a real notify socket, and all that was said to it."""

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

_STAMPS: Final = 35
"""SO_TIMESTAMPNS, which Python does not name: the kernel notes when something was sent (socket(7))."""


class Word(msgspec.Struct, frozen=True):
    """One datagram: its lines, and when it was sent (seconds since the epoch), however late it is read."""

    values: dict[str, str]
    at: float


class ServiceManager:
    """Listens at `address`: a path, or a name of the abstract kind that begins with `@`."""

    def __init__(self, address: Path | str) -> None:
        self.address = str(address)
        self.words: list[Word] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def listen(self, seconds: float) -> list[Word]:
        """Return what is said within `seconds`."""
        return self._hear(lambda _: False, seconds)

    def until(self, key: str, seconds: float = 20.0) -> Word:
        """Return the next datagram that says `key`; fail if none does within `seconds`."""
        words = self._hear(lambda word: key in word.values, seconds)
        assert words, f"nothing was said for {seconds:g} s; {key} was waited for"
        assert key in words[-1].values, f"not within {seconds:g} s: {key}; said was {words}"
        return words[-1]

    def status(self, part: str, seconds: float = 20.0) -> str:
        """Return the next status that holds `part`; fail if none does within `seconds`."""
        words = self._hear(lambda word: part in word.values.get("STATUS", ""), seconds)
        said = [word.values["STATUS"] for word in words if "STATUS" in word.values]
        assert said, f"no status within {seconds:g} s"
        assert part in said[-1], f"not within {seconds:g} s: {part!r}; the status was {said}"
        return said[-1]

    def _hear(self, ends: Callable[[Word], bool], seconds: float) -> list[Word]:
        heard: list[Word] = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                datagram, [(_, _, stamp)], _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(16))
            except TimeoutError:
                break
            pairs = [line.partition("=") for line in datagram.decode().split("\n")]
            whole, nanoseconds = struct.unpack("@qq", stamp)
            heard.append(Word({key: value for key, _, value in pairs}, whole + nanoseconds / 1e9))
            if ends(heard[-1]):
                break
        self.words += heard
        return heard
