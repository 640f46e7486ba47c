"""A stand-in for the service manager: a real notify socket that records all messages."""

import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

_STAMPS: Final = 35
"""SO_TIMESTAMPNS, which Python does not define: the kernel records the time of sending (socket(7))."""


class Message(msgspec.Struct, frozen=True):
    """One datagram: its lines, and the time of sending (seconds since the epoch), however late it is read."""

    values: dict[str, str]
    at: float


class ServiceManager:
    """Listens at `address`: a path, or an abstract name that begins with `@`."""

    def __init__(self, address: Path | str) -> None:
        self.address = str(address)
        self.messages: list[Message] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def listen(self, seconds: float) -> list[Message]:
        """Return the messages of the next `seconds`."""
        return self._receive(lambda _: False, seconds)

    def until(self, key: str, seconds: float = 20.0) -> Message:
        """Return the next message with `key`. Raises: AssertionError if none comes within `seconds`."""
        messages = self._receive(lambda message: key in message.values, seconds)
        assert messages, f"no message for {seconds:g} s while waiting for {key}"
        assert key in messages[-1].values, f"not within {seconds:g} s: {key}; messages: {messages}"
        return messages[-1]

    def status(self, part: str, seconds: float = 20.0) -> str:
        """Return the next status with `part`. Raises: AssertionError if none comes within `seconds`."""
        messages = self._receive(lambda message: part in message.values.get("STATUS", ""), seconds)
        found = [message.values["STATUS"] for message in messages if "STATUS" in message.values]
        assert found, f"no status within {seconds:g} s"
        assert part in found[-1], f"not within {seconds:g} s: {part!r}; the status was {found}"
        return found[-1]

    def _receive(self, ends: Callable[[Message], bool], seconds: float) -> list[Message]:
        received: list[Message] = []
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                datagram, [(_, _, stamp)], _, _ = self._socket.recvmsg(65536, socket.CMSG_SPACE(16))
            except TimeoutError:
                break
            pairs = [line.partition("=") for line in datagram.decode().split("\n")]
            whole, nanoseconds = struct.unpack("@qq", stamp)
            received.append(Message({key: value for key, _, value in pairs}, whole + nanoseconds / 1e9))
            if ends(received[-1]):
                break
        self.messages += received
        return received
