"""Commands as sinks: their input, and that none can delay or flood the mirror."""

import os
import sys
import time
from pathlib import Path

import pytest
import trio

from mirrorsync.model.notification import Announcement
from mirrorsync.notify.command import Command
from mirrorsync.notify.errors import NotifyError
from tests.notify.test_sinks import announcement_of, project
from tests.support.process.launch import wait_until


def python(code: str, *arguments: str, timeout: float = 10.0) -> Command:
    return Command([sys.executable, "-I", "-S", "-c", code, *arguments], timeout=timeout)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def read_pid(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def test_command_gets_a_line_for_each_change_and_the_serial() -> None:
    code = "import os, sys; print(os.environ['MIRRORSYNC_SERIAL'], os.environ['MIRRORSYNC_CHANGES'], sys.stdin.read())"
    output = await python(code).announce(announcement_of(project("numpy"), project("torch")))
    head, *lines = output.splitlines()
    assert head == (
        '77 2 {"kind":"project","name":"numpy","paths":["/simple/numpy/","/simple/numpy/index.html",'
        '"/simple/numpy/index.v1_html","/simple/numpy/index.v1_json"],"key":"simple-numpy"}'
    )
    assert len(lines) == 1
    assert '"torch"' in lines[0]


async def test_everything_is_one_line_of_input() -> None:
    output = await Command(["cat"], timeout=10).announce(Announcement(everything=("index",)))
    assert output == '{"kind":"everything","name":"index","paths":[],"key":"simple"}'


async def test_command_arguments_are_not_expanded_by_a_shell(tmp_path: Path) -> None:
    output = await python("import sys; print(sys.argv[1])", f"$(touch {tmp_path}/made); *").announce(announcement_of())
    assert output == f"$(touch {tmp_path}/made); *"
    assert not (tmp_path / "made").exists()


async def test_command_need_not_read_its_input() -> None:
    await Command(["true"], timeout=10).announce(announcement_of(*[project(f"p{number}") for number in range(1000)]))


async def test_failed_command_is_reported_with_code_and_output() -> None:
    with pytest.raises(NotifyError, match="exited 3: the disk is on fire"):
        await python("print('the disk is on fire'); raise SystemExit(3)").announce(announcement_of())
    with pytest.raises(NotifyError, match="was killed by signal 9"):
        await python("import os; os.kill(os.getpid(), 9)").announce(announcement_of())


async def test_missing_command_is_a_failure() -> None:
    with pytest.raises(NotifyError, match="cannot be started: No such file"):
        await Command(["/nonexistent/hook"], timeout=1).announce(announcement_of())


async def test_hanging_command_is_killed_with_its_children() -> None:
    code = (
        "import subprocess, sys, time; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True);"
        " time.sleep(600)"
    )
    began = time.monotonic()
    with pytest.raises(NotifyError, match="did not end in 1 s and was killed") as caught:
        await python(code, timeout=1.0).announce(announcement_of())
    assert time.monotonic() - began < 5
    wait_until(lambda: not alive(int(caught.value.why)), "its child has ended")


async def test_child_process_that_keeps_the_pipe_open_delays_nothing() -> None:
    began = time.monotonic()
    output = await Command(["sh", "-c", "sleep 600 & echo $!"], timeout=30).announce(announcement_of())
    assert time.monotonic() - began < 5
    wait_until(lambda: not alive(int(output)), "its child has ended")


async def test_only_the_end_of_endless_output_is_kept() -> None:
    output = await python("import sys; sys.stdout.write('x' * 5_000_000 + 'the end')").announce(announcement_of())
    assert len(output) <= 2000
    assert output.endswith("the end")


async def test_cancellation_kills_the_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = f"import os, time, pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(600)"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(python(code, timeout=60).announce, announcement_of())
        with trio.fail_after(10):
            while not (pid := read_pid(pid_file)):  # noqa: ASYNC110 -- another process writes it
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert not alive(pid)
