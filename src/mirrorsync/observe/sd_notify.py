"""Notifications to the service manager: ready, reloading, stopping, a status line, and watchdog pings.

Source: sd_notify(3), systemd.service(5): datagrams of lines `NAME=value` to the socket that $NOTIFY_SOCKET names.
"""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Self

import trio

from mirrorsync.model.wording import printable

_SEND_LIMIT: Final = 5.0
"""Seconds to wait for a manager that does not read its socket; the notification is lost after that."""
_LONGEST_STATUS: Final = 500
"""Characters."""


class Manager:
    """The service manager that started this process; with an empty `address` nothing is sent."""

    def __init__(self, address: str = "", *, watchdog: float | None = None) -> None:
        self._address = address
        self.watchdog = watchdog
        """Seconds without a ping after which the manager kills this process; None: no watchdog."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the manager that the environment names. Other kinds of address (vsock) count as none."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls()
        microseconds = environ.get("WATCHDOG_USEC", "")
        meant_for_us = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        watches = meant_for_us and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, watchdog=int(microseconds) / 1e6 if watches else None)

    async def ready(self, status: str) -> None:
        """Report that starting or reloading is complete."""
        await self._send("READY=1", _status(status))

    async def reloading(self, status: str) -> None:
        """Report that a reload has begun; `ready` ends it."""
        await self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status(status))

    async def stopping(self, status: str) -> None:
        """Report that the process is stopping."""
        await self._send("STOPPING=1", _status(status))

    async def tell(self, status: str) -> None:
        """Set the status line that `systemctl status` shows."""
        await self._send(_status(status))

    async def alive(self) -> None:
        """Ping the watchdog; call it only when the work is known to make progress."""
        await self._send("WATCHDOG=1")

    async def _send(self, *lines: str) -> None:
        """Send one datagram. A manager that cannot be reached does not disturb the run.

        Cancellation: the datagram was sent or not.
        """
        if not self._address:
            return
        # One socket per datagram: a restarted manager listens on a new socket of the same name.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        channel = trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with channel, trio.move_on_after(_SEND_LIMIT), suppress(OSError):
            await channel.connect(address)
            await channel.send("\n".join(lines).encode())


def _status(text: str) -> str:
    return f"STATUS={printable(text)[:_LONGEST_STATUS]}"
