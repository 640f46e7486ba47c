"""What was freed goes back to the system: in processes of their own, for it is a process that has heaps."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library manages its heap itself")

_THREADS = """
import ctypes, os, tempfile, threading
from mirrorsync.memory import keep_one_heap

{first}
together = threading.Barrier(8)

def work():
    kept = [bytes(20_000) for _ in range(50)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
path = tempfile.mktemp()
file = ctypes.c_void_p(libc.fopen(path.encode(), b"w"))
libc.malloc_info(0, file), libc.fclose(file)
print(open(path).read().count("<heap "))
os.unlink(path)
"""
_BACKLOG = """
from mirrorsync.memory import give_back

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20

before = resident()
backlog = [bytes(20_000) for _ in range(5_000)]
last = bytes(20_000)  # the heap cannot shrink below what is still held
del backlog
held = resident() - before
give_back()
print(held, resident() - before)
"""


def said(program: str) -> list[int]:
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    return [int(number) for number in told.split()]


def test_threads_share_one_heap() -> None:
    assert said(_THREADS.format(first="keep_one_heap()")) == [1]
    assert said(_THREADS.format(first=""))[0] > 1  # else this machine shows nothing


def test_what_a_backlog_had_needed_is_nobodys_after_it() -> None:
    held, left = said(_BACKLOG)
    assert held > 90  # MiB: else this machine shows nothing
    assert left < 10
