import json
import resource
import subprocess
import sys
from typing import Any, Final

import pytest

from mirrorsync.errors import Malformed
from mirrorsync.model.change import Listed
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.upstream.root_list import RootReader

WHOLE: Final = json.dumps(
    {
        "meta": {"_last-serial": 9, "api-version": "1.4", "more": {"_last-serial": "deeper"}},
        "projects": [
            {"_last-serial": 4, "name": "Holy.Grail", "new": [{"name": "not-me", "_last-serial": 1}]},
            {"_last-serial": "5", "name": "b"},
            {"name": "c"},
        ],
        "other": [{"name": "not-me-either"}, [[]], {"meta": {"_last-serial": 1}}],
    }
).encode()
HOSTILE: Final = (
    b"",
    b"{}",
    b"[]",
    b"5",
    b"<html></html>",
    b"\xff\xfe",
    b'{"projects":{}}',
    b'{"projects":"many"}',
    b'{"meta":{"projects":[]}}',
    WHOLE + b"{}",
    b'{"meta":{"api-version":"2.0"},"projects":[]}',
    b'{"meta":{"_last-serial":-1},"projects":[]}',
    b'{"projects":[{"name":"a","_last-serial":1.5}]}',
    b'{"projects":[{"name":"a","_last-serial":true}]}',
    b'{"projects":[{"name":"a","_last-serial":"x"}]}',
    b'{"projects":[{"name":"a","_last-serial":%s}]}' % (b"9" * 5000),
    b'{"projects":[{"name":"a","_last-serial":9223372036854775807}]}',
    b'{"projects":[' + b"9" * 5000 + b"]}",
    b'{"projects":[1e999999999]}',
    b"[" * 1_000_000,
    b'{"projects":[' + b"[" * 1_000_000,
    b'{"projects":' + b'{"a":' * 1_000_000,
    b'{"projects":["\xc3\x28"]}',
)


def read(body: bytes, *, step: int = 1 << 16) -> tuple[list[Listed], RootReader]:
    reader = RootReader("root list")
    listed = [one for start in range(0, len(body), step) for one in reader.feed(body[start : start + step])]
    return [*listed, *reader.end()], reader


@pytest.mark.parametrize("step", [1, 7, 64, 1 << 16])
def test_projects_have_name_spelling_and_serial_for_any_chunk_size(step: int) -> None:
    listed, reader = read(WHOLE, step=step)
    assert listed == [
        Listed(name=ProjectName("holy-grail"), display_name="Holy.Grail", serial=Serial(4)),
        Listed(name=ProjectName("b"), display_name="b", serial=Serial(5)),
        Listed(name=ProjectName("c"), display_name="c", serial=None),
    ]
    assert reader.serial == 9
    assert reader.skipped == 0


def test_the_order_of_keys_is_free_and_serials_may_be_missing() -> None:
    listed, reader = read(b'{"projects":[{"name":"a"}],"meta":{"api-version":"1.0"}}')
    assert [one.name for one in listed] == ["a"]
    assert reader.serial is None


@pytest.mark.parametrize("name", ["", "../x", "naïve", "\ud800", None, 5, {"name": "a"}])
def test_entry_without_a_valid_name_is_skipped_and_counted(name: Any) -> None:
    listed, reader = read(json.dumps({"projects": [{"name": name}, {"name": "good"}, {}]}).encode())
    assert [one.name for one in listed] == ["good"]
    assert reader.skipped == 2


def test_empty_list_is_accepted() -> None:
    assert read(b'{"meta":{},"projects":[]}')[0] == []


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_invalid_root_list_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


def test_list_cut_anywhere_is_malformed() -> None:
    for kept in range(len(WHOLE)):
        with pytest.raises(Malformed):
            read(WHOLE[:kept])


def test_deep_nesting_and_long_numbers_are_harmless() -> None:
    """In a process of its own: the faults guarded against end the process (ijson 3.6.0, C backend)."""
    program = """
from tests.unit.upstream.test_root_list import HOSTILE, read
from mirrorsync.errors import Malformed
for body in HOSTILE:
    try:
        read(body)
    except Malformed:
        print("malformed")
"""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, preexec_fn=bound)
    assert done.stdout.split() == [b"malformed"] * len(HOSTILE), done.stderr[-500:]
