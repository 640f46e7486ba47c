"""Text from upstream stays text in HTML, JSON, headers and on a terminal."""

import json
import socket
from typing import Any, Final

import pytest
import trio

from mirrorsync.model.outcome import Failed
from mirrorsync.web.server import serve
from tests.hostile.markup import markup_problems
from tests.hostile.siege import Siege, entry_of, page_of, place_in
from tests.support.oracle.pages import read_html, read_json
from tests.support.pypi.faults import Body, Headers
from tests.support.pypi.server import PyPI
from tests.support.pypi.world import World

_MARKUP: Final = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "--><script>alert(1)</script><!--SERIAL 99999999-->",
    "</a></body></html><base href=//evil.test/>",
    "<!--",
    "]]><![CDATA[",
    "&quot;&#34;&lt;script&gt;&amp;",
    '" onmouseover="alert(1)',
    "javascript:alert(1)",
    "line\r\nX-Evil: 1\r\n\r\n<script>",
    "\x00\x01\x1b[2J\x7f\u2028\u202e",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "<a href=../../evil>" * 50,
)
_FIELDS: Final = ("requires-python", "yanked", "upload-time", "provenance")


def _entries(pypi: PyPI, text: str) -> list[dict[str, Any]]:
    entries = []
    for number, field in enumerate(_FIELDS):
        file = pypi.world.upload("source", f"{len(pypi.world.objects)}.{number}")
        provenance = {"provenance": f"https://index.test/{text}"} if field == "provenance" else {}
        entries.append(entry_of(pypi, file) | {field: text} | provenance | {"new-key": text, text: text})
    return entries


@pytest.mark.parametrize("text", _MARKUP, ids=range(len(_MARKUP)))
async def test_markup_in_any_field_stays_text_in_html_and_in_json(siege: Siege, pypi: PyPI, text: str) -> None:
    entries = _entries(pypi, text)
    status = {"status": text, "reason": text}
    place_in(pypi, "victim", page_of("victim", *entries, versions=[text], project_status=status, **{text or "x": text}))
    await siege.sync()
    assert not isinstance(siege.outcomes["victim"], Failed), siege.outcomes["victim"]
    assert siege.harm() == []
    body = (siege.web / "simple" / "victim" / "index.html").read_bytes()
    assert markup_problems(body, anchors=len(_FIELDS), serial=siege.page("victim")["meta"]["_last-serial"]) == []
    html, plain = read_html(body), read_json((siege.web / "simple" / "victim" / "index.v1_json").read_bytes())
    for link, other, entry in zip(html.links, plain.links, entries, strict=True):
        assert link.filename == other.filename == entry["filename"]
        assert link.requires_python == other.requires_python == entry["requires-python"]
        assert link.yanked == other.yanked == entry["yanked"]
    assert html.status == plain.status == text
    assert plain.versions == (text,)


@pytest.mark.parametrize(
    "name", ["<b>x.zip", '"onload="x.zip', "a'b&amp;c.zip", "--><!--.zip", "a b#c?d.zip", "{{x}}.zip"]
)
async def test_markup_in_a_file_name_stays_text(siege: Siege, pypi: PyPI, name: str) -> None:
    pypi.world.upload("victim", "1.0", filename=name, content=b"x")
    await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    assert name in siege.stored()


async def test_display_name_in_journal_or_root_list_is_validated(pypi: PyPI, siege: Siege) -> None:
    for text in _MARKUP:
        pypi.world.journal_row(text, "create")
        pypi.world.journal_row("alpha", f"add Owner {text}")
    await siege.sync()
    assert siege.problems() == []
    assert siege.harm() == []
    root = (siege.web / "simple" / "index.html").read_bytes()
    assert markup_problems(root, anchors=2, serial=None) == []


async def test_root_list_full_of_markup_yields_only_valid_names(siege: Siege, pypi: PyPI) -> None:
    rows = [{"name": text, "_last-serial": 1} for text in (*_MARKUP, "alpha", "omega")]
    listing = json.dumps({"meta": {"api-version": "1.4", "_last-serial": 10}, "projects": rows}).encode()
    siege.sections = {"upstream": {"feed": "json"}}
    rule = pypi.faults.add(r"^/simple/$", Body(listing))
    await siege.sync()
    assert rule.hits
    assert siege.harm() == []
    root = (siege.web / "simple" / "index.html").read_bytes()
    assert markup_problems(root, anchors=2, serial=None) == []
    document = json.loads((siege.web / "simple" / "index.v1_json").read_bytes())
    assert [row["name"] for row in document["projects"]] == ["alpha", "omega"]


async def test_markup_in_an_error_cannot_alter_the_status_page(siege: Siege, pypi: PyPI) -> None:
    file = pypi.world.upload("honest", "1.0")
    for number, text in enumerate(_MARKUP):
        place_in(pypi, f"victim-{number}", page_of(f"victim-{number}", entry_of(pypi, file, filename=text)))
    await siege.sync()
    assert siege.refusal_problems(*(f"victim-{number}" for number in range(len(_MARKUP)))) == []
    unmet = json.loads((siege.web / "mirrorsync" / "status.json").read_bytes())["unmet"]
    assert len(unmet) == len(_MARKUP)


_TARGETS: Final = (
    b"/simple/a%0d%0aX-Evil:%201/",
    b"/simple/A_b%0d%0aX-Evil:%201",
    b"/simple/Holy_Grail?x=%0d%0aX-Evil:%201",
    b"/simple/Holy_Grail?x=\rX-Evil:1",
    b"/packages/%2e%2e/%2e%2e/state/mirrorsync.sqlite3",
    b"/packages/../../state/mirrorsync.sqlite3",
    b"/%2e%2e/state/mirrorsync.sqlite3",
    b"/..%2fstate/mirrorsync.sqlite3",
    b"/%252e%252e/state/mirrorsync.sqlite3",
    b"/simple/..%5c..%5cstate",
    b"//evil.test/simple/Holy_Grail",
    b"/\\evil.test/",
    b"/simple/alpha/%00",
    b"/simple/\xff\xfe/",
    b"/simple/" + b"a" * 8000,
)


async def test_no_request_makes_our_server_add_a_header_or_leave_the_tree(siege: Siege) -> None:
    await siege.sync()
    async with trio.open_nursery() as nursery:
        [bound] = await nursery.start(
            lambda task_status: serve(siege.web, listen="127.0.0.1:0", task_status=task_status)
        )
        port = int(bound.rpartition(":")[2])
        answers = [await trio.to_thread.run_sync(_ask, port, target) for target in _TARGETS]
        nursery.cancel_scope.cancel()
    for target, answer in zip(_TARGETS, answers, strict=True):
        head = answer.partition(b"\r\n\r\n")[0]
        names = [line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:]]
        assert b"x-evil" not in names, target
        assert b"SQLite" not in answer, target
        assert head[9:12] in (b"301", b"400", b"404"), (target, head)
        location = next(
            (line for line in head.split(b"\r\n") if line.lower().startswith(b"location:")), b"location: /x"
        )
        assert location[10:11] == b"/", location
        assert location[11:12] != b"/", location


def _ask(port: int, target: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connected:
        connected.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: mirror.test\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := connected.recv(65536):
            answer += part
    return answer


async def test_hostile_etag_is_sent_back_safely_or_dropped(siege: Siege, pypi: PyPI, world: World) -> None:
    world.upload("victim", "1.0")
    place_in(pypi, "victim", Headers((("ETag", '"\xe9\xff"'),)))
    await siege.sync()
    siege.clock.forward(40 * 86400)
    await siege.sync(["victim", "alpha"])
    assert siege.problems() == []
    assert siege.harm() == []
