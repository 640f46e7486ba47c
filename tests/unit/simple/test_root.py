"""The root index in both forms."""

import json
from collections.abc import Iterator

from mirrorsync.simple.root import html_parts, json_parts


def test_the_html_root_is_pypis_but_for_relative_links() -> None:
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
    assert b"".join(html_parts([("django", "Django"), ("zope-interface", "zope.interface")])) == expected


def test_the_json_root_is_pypis() -> None:
    assert b"".join(json_parts([("Django", 24), ("released-name", 0)], 99)) == (
        b'{"meta":{"_last-serial":99,"api-version":"1.4"},'
        b'"projects":[{"_last-serial":24,"name":"Django"},{"_last-serial":0,"name":"released-name"}]}\n'
    )


def test_an_index_without_serials_has_none_in_its_root() -> None:
    assert b"".join(json_parts([("a", None)], None)) == (b'{"meta":{"api-version":"1.4"},"projects":[{"name":"a"}]}\n')


def test_a_root_without_projects_is_whole() -> None:
    assert json.loads(b"".join(json_parts([], 0))) == {
        "meta": {"_last-serial": 0, "api-version": "1.4"},
        "projects": [],
    }
    assert b"".join(html_parts([])).endswith(b"  <body>\n</body>\n</html>")


def test_a_display_name_is_never_markup() -> None:
    written = b"".join(html_parts([("a", "<b>&\"'")]))
    assert b'<a href="a/">&lt;b&gt;&amp;&#34;&#39;</a>' in written
    assert json.loads(b"".join(json_parts([('"\\', 1)], 1)))["projects"][0]["name"] == '"\\'


def test_the_root_is_never_held_whole() -> None:
    asked = 0

    def projects() -> Iterator[tuple[str, str]]:
        nonlocal asked
        for number in range(20_000):
            asked += 1
            yield f"project-{number}", f"Project.{number}"

    parts = html_parts(projects())
    assert 64 * 1024 <= len(next(parts)) < 65 * 1024
    assert asked < 2_000
    assert max(map(len, parts)) < 65 * 1024
