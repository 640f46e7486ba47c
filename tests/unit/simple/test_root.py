"""The root index in both forms."""

import json
from collections.abc import Iterator, Sequence

from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.simple.root import Row, root_parts

AWKWARD = "<b>&\"'\\\x01"
"""A display name that no index should publish."""


def row(name: str, shown: str, serial: int | None = None) -> Row:
    return ProjectName(name), shown, None if serial is None else Serial(serial)


def html(*batches: Sequence[Row]) -> bytes:
    return b"".join(part.html for part in root_parts(batches, None))


def in_json(*batches: Sequence[Row], last_serial: int | None) -> bytes:
    serial = None if last_serial is None else Serial(last_serial)
    return b"".join(part.json for part in root_parts(batches, serial))


def test_the_html_root_equals_pypis_except_for_relative_links() -> None:
    expected = b"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="1.4">
    <title>Simple index</title>
  </head>
  <body>
<a href="django/">Django</a>
<a href="zope-interface/">zope.interface</a>
</body>
</html>"""
    assert html([row("django", "Django"), row("zope-interface", "zope.interface")]) == expected


def test_the_json_root_equals_pypis() -> None:
    assert in_json([row("django", "Django", 24), row("released-name", "released-name", 0)], last_serial=99) == (
        b'{"meta":{"_last-serial":99,"api-version":"1.4"},'
        b'"projects":[{"_last-serial":24,"name":"Django"},{"_last-serial":0,"name":"released-name"}]}\n'
    )


def test_the_root_of_an_index_without_serials_has_none() -> None:
    assert in_json([row("a", "a")], last_serial=None) == (b'{"meta":{"api-version":"1.4"},"projects":[{"name":"a"}]}\n')


def test_a_root_without_projects_is_complete() -> None:
    whole = {"meta": {"_last-serial": 0, "api-version": "1.4"}, "projects": []}
    assert json.loads(in_json(last_serial=0)) == json.loads(in_json([], last_serial=0)) == whole
    assert html().endswith(b"  <body>\n</body>\n</html>")


def test_a_display_name_is_never_markup() -> None:
    assert b'<a href="a/">&lt;b&gt;&amp;&#34;&#39;\\\x01</a>' in html([row("a", AWKWARD)])
    assert json.loads(in_json([row("a", AWKWARD, 1)], last_serial=1))["projects"][0]["name"] == AWKWARD


def test_batches_do_not_change_the_root() -> None:
    rows = [row("a", "A", 1), row("b", AWKWARD, 2), row("c", "c"), row("d", "Ünicode", 4), row("e", "e.e", 5)]
    batches = [rows[:1], [], rows[1:2], rows[2:]]
    assert html(*batches) == html(rows)
    assert in_json(*batches, last_serial=9) == in_json(rows, last_serial=9)
    assert [each["name"] for each in json.loads(in_json(*batches, last_serial=9))["projects"]] == [
        shown for _, shown, _ in rows
    ]


def test_a_plain_name_is_written_like_an_escaped_one() -> None:
    alone = in_json([row("a", "A.b_c-1", 7), row("b", "B")], last_serial=1)
    beside = in_json([row("a", "A.b_c-1", 7), row("b", "B"), row("c", AWKWARD)], last_serial=1)
    assert beside.startswith(alone.removesuffix(b"]}\n"))


def test_the_root_is_never_held_in_memory() -> None:
    batches_read = 0

    def batches() -> Iterator[list[Row]]:
        nonlocal batches_read
        for number in range(1_000):
            batches_read += 1
            yield [row(f"project-{number}-{digit}", f"Project.{number}.{digit}", number) for digit in range(100)]

    parts = root_parts(batches(), Serial(1))
    assert 1 << 20 <= len(next(parts).json) < 1.01 * (1 << 20)
    assert batches_read < 300
    assert max(len(part.html) for part in parts) < 2 << 20
