"""A command that hears of changes: started without a shell, the changes on its standard input, a line of JSON each."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.document import lines
from mirrorsync.notify.errors import PurgeError

_KEPT: Final = 2000
"""Bytes of its output that are told, the last ones; what is before them is read and dropped."""
_CHUNK: Final = 65536
_TO_DIE: Final = 5.0
"""Seconds that a killed command is waited for: one that a dead disk holds is left to the kernel."""
_TO_BE_READ: Final = 1.0
"""Seconds for what an ended command has still in its pipe; a child of it may hold that open for ever."""


class Command:
    """Starts a command for each announcement; it and its children end at the latest after `timeout` seconds."""

    name = "command"
    most = 1000

    def __init__(self, command: Sequence[str], *, timeout: float) -> None:
        self._command = list(command)
        self._timeout = timeout

    async def announce(self, announcement: Announcement) -> str:
        """Run it to its end; return the end of what it said. Raises: PurgeError unless it ends with 0."""
        environment = {
            **os.environ,
            "MIRRORSYNC_SERIAL": "" if announcement.serial is None else str(announcement.serial),
            "MIRRORSYNC_EVERYTHING": " ".join(announcement.everything),
            "MIRRORSYNC_CHANGES": str(len(announcement.changes)),
        }
        try:
            process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            hint = "[notify] command is a list: the program's path first, then each argument"
            raise PurgeError(f"the command {self._command[0]} cannot be started", why=why, hint=hint) from error
        running = _Running(process)
        with trio.move_on_after(self._timeout) as scope:
            await running.to_its_end(lines(announcement))
        return self._judge(running, too_slow=scope.cancelled_caught)

    def _judge(self, running: "_Running", *, too_slow: bool) -> str:
        said = running.said.decode("utf-8", "replace").strip()
        code = running.process.returncode
        if too_slow:
            what = f"the command {self._command[0]} did not end in {self._timeout:g} s and was killed"
            raise PurgeError(what, why=said, hint="[notify] command-timeout, if it needs longer")
        if code:
            how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
            raise PurgeError(f"the command {self._command[0]} {how}", why=said)
        return said


class _Running:
    """A process that is fed and heard; when it is left, it and its children are no more."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = b""

    async def to_its_end(self, text: bytes) -> None:
        """Return when it has ended. Cancellation: it is killed, with all that it started."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._feed, text)
                nursery.start_soon(self._hear)
                await self.process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + _TO_BE_READ
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with trio.CancelScope(deadline=trio.current_time() + _TO_DIE, shield=True):
                for pipe in (self.process.stdin, self.process.stdout):
                    if pipe is not None:
                        await pipe.aclose()
                await self.process.wait()

    async def _feed(self, text: bytes) -> None:
        pipe = self.process.stdin
        if pipe is not None:
            with suppress(trio.BrokenResourceError):  # it need not read
                async with pipe:
                    await pipe.send_all(text)

    async def _hear(self) -> None:
        pipe = self.process.stdout
        while pipe is not None and (chunk := await pipe.receive_some(_CHUNK)):
            self.said = (self.said + chunk)[-_KEPT:]
