import xmlrpc.client

import pytest

from tests.support.pypi import wire, wire_xmlrpc
from tests.support.pypi.values import Page, Row, Shape
from tests.support.pypi.world import World

ORIGIN = wire.Origin("http://index.test", "http://files.test", Shape())
SIMPLE_JSON = wire.SIMPLE_JSON


def _page(world: World, name: str) -> Page:
    page = world.page(name)
    assert page is not None
    return page


def test_empty_page_equals_pypis_byte_by_byte(world: World) -> None:
    world.create("Empty.Pkg")
    assert wire.detail_json(_page(world, "empty-pkg"), ORIGIN) == (
        b'{"files":[],"meta":{"_last-serial":2,"api-version":"1.4"},"name":"empty-pkg",'
        b'"project-status":{"status":"active"},"versions":[]}\n'
    )
    assert wire.detail_html(_page(world, "empty-pkg"), ORIGIN).decode() == (
        '<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
        '    <meta name="pypi:repository-version" content="1.4">\n'
        '<meta name="pypi:project-status" content="active">    <title>Links for empty-pkg</title>\n'
        "  </head>\n  <body>\n    <h1>Links for empty-pkg</h1>\n</body>\n</html>\n<!--SERIAL 2-->"
    )


def test_anchor_has_pypis_attributes_order_and_spacing(world: World) -> None:
    file = world.upload("a", "1", requires_python=">=3.6,<4", provenance=True)
    world.yank("a", "1", '"quotes" & <tags>, it\'s bad')
    plain = world.upload("a", "0", filename="a-0.zip", content=b"0")
    html = wire.detail_html(_page(world, "a"), ORIGIN).decode()
    digest = f"sha256={file.metadata_sha256}"
    assert f'<a href="http://files.test/{plain.path}#sha256={plain.sha256}" >a-0.zip</a><br />\n' in html
    assert (
        f'<a href="http://files.test/{file.path}#sha256={file.sha256}" data-requires-python="&gt;=3.6,&lt;4" '
        'data-yanked="&#34;quotes&#34; &amp; &lt;tags&gt;, it&#39;s bad" '
        f'data-dist-info-metadata="{digest}" data-core-metadata="{digest}" '
        'data-provenance="http://index.test/integrity/a/1/a-1-py3-none-any.whl/provenance">'
        "a-1-py3-none-any.whl</a><br />\n"
    ) in html


@pytest.mark.parametrize(
    ("filename", "quoted"),
    [
        ("Odd Pkg-1.0.tar.gz", "Odd%20Pkg-1.0.tar.gz"),
        ("a-1!2.0+local.1.zip", "a-1!2.0+local.1.zip"),
        ("Ödd-1.0.zip", "%C3%96dd-1.0.zip"),
        ("a-1#x?y=1&z='w'%20[1].zip", "a-1%23x%3Fy=1&z='w'%2520%5B1%5D.zip"),
    ],
)
def test_unusual_file_names_are_quoted_like_pypis(world: World, filename: str, quoted: str) -> None:
    file = world.upload("a", "1", filename=filename, content=b"1")
    assert wire.file_url(ORIGIN, _page(world, "a"), file).endswith(f"/{quoted}")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, wire.HTML),
        ("*/*", wire.HTML),
        ("text/plain", wire.HTML),
        ("application/json", wire.HTML),
        ("application/*", wire.SIMPLE_HTML),
        ("application/vnd.pypi.simple.latest+json", SIMPLE_JSON),
        (f"{SIMPLE_JSON}, {wire.SIMPLE_HTML};q=0.2, text/html;q=0.01", SIMPLE_JSON),
        (f"text/html, {wire.SIMPLE_HTML}, {SIMPLE_JSON}", wire.HTML),
        (f"text/html;q=0.01, {SIMPLE_JSON}", SIMPLE_JSON),
    ],
)
def test_media_type_follows_accept_and_defaults_to_html(accept: str | None, media_type: str) -> None:
    assert wire.negotiate(accept) == media_type


def test_changelog_equals_the_standard_librarys_output() -> None:
    rows = [Row("a<b", None, 1_700_000_000, "create", 1), Row("", "", 1_700_000_001, "keyrotate ", 7)]
    values = [[row.name, row.version, row.timestamp, row.action, row.serial] for row in rows]
    theirs = xmlrpc.client.dumps((values,), methodresponse=True, allow_none=True)
    assert wire_xmlrpc.changelog(rows).decode() == theirs
    assert wire_xmlrpc.last_serial(None).count(b"<nil/>") == 1


def test_file_names_in_actions_are_reduced_to_ascii() -> None:
    body = wire_xmlrpc.changelog([Row("a", "1", 1, "add source file a…\x01.zip", 1)])
    assert xmlrpc.client.loads(body)[0] == ([["a", "1", 1, "add source file a&#8230;.zip", 1]],)


def test_serial_beyond_32_bits_is_a_fault() -> None:
    with pytest.raises(wire_xmlrpc.Fault) as caught:
        wire_xmlrpc.changelog([Row("a", "1", 1, "create", 2**31)])
    assert caught.value.code == -32500
