"""A command, run without a shell for each announcement; each change is a line of JSON on its standard input."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import trio

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.errors import NotifyError

_OUTPUT_LIMIT: Final = 2000
"""Bytes of its output that are logged: the last ones."""
_CHUNK: Final = 65536
_KILL_WAIT: Final = 5.0
"""Seconds to wait for a killed command; one that is blocked by a failed disk is left to the kernel."""
_READ_WAIT: Final = 1.0
"""Seconds to read the rest of the output of an ended command; a child process may hold the pipe open for ever."""


class Command:
    """Runs a command for each announcement; it and its children are killed after `timeout` seconds."""

    name = "command"
    max_changes = 1000

    def __init__(self, command: Sequence[str], *, timeout: float) -> None:
        self._command = list(command)
        self._timeout = timeout

    async def announce(self, announcement: Announcement) -> str:
        """Run the command; return the end of its output. Raises: NotifyError unless it exits 0."""
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
            raise NotifyError(f"the command {self._command[0]} cannot be started", why=why, hint=hint) from error
        running = _Running(process)
        with trio.move_on_after(self._timeout) as scope:
            await running.wait(lines(announcement))
        return self._result(running, too_slow=scope.cancelled_caught)

    def _result(self, running: "_Running", *, too_slow: bool) -> str:
        output = running.output.decode("utf-8", "replace").strip()
        code = running.process.returncode
        if too_slow:
            what = f"the command {self._command[0]} did not end in {self._timeout:g} s and was killed"
            raise NotifyError(what, why=output, hint="[notify] command-timeout, if it needs longer")
        if code:
            how = f"exited {code}" if code > 0 else f"was killed by signal {-code}"
            raise NotifyError(f"the command {self._command[0]} {how}", why=output)
        return output


def lines(announcement: Announcement) -> bytes:
    """Return one JSON object per line: `{"kind": "everything", "name": SCOPE, …}` first, then each change."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in _objects(announcement))


def _objects(announcement: Announcement) -> Iterator[object]:
    for scope in announcement.everything:
        yield {"kind": "everything", "name": scope, "paths": [], "key": "simple" if scope == "index" else "packages"}
    yield from announcement.changes


class _Running:
    """A process with pipes for its input and output."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.output = b""

    async def wait(self, text: bytes) -> None:
        """Send `text`, and return when the process has ended. Cancellation: it is killed, with its children."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, text)
                nursery.start_soon(self._read)
                await self.process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + _READ_WAIT
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with trio.CancelScope(deadline=trio.current_time() + _KILL_WAIT, shield=True):
                for pipe in (self.process.stdin, self.process.stdout):
                    if pipe is not None:
                        await pipe.aclose()
                await self.process.wait()

    async def _write(self, text: bytes) -> None:
        pipe = self.process.stdin
        if pipe is not None:
            with suppress(trio.BrokenResourceError):  # the command need not read its input
                async with pipe:
                    await pipe.send_all(text)

    async def _read(self) -> None:
        pipe = self.process.stdout
        while pipe is not None and (chunk := await pipe.receive_some(_CHUNK)):
            self.output = (self.output + chunk)[-_OUTPUT_LIMIT:]
