"""Pages as HTML, in PyPI's frozen format."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrorsync.model.identity import Serial
from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.encode import encode_page
from tests.unit.simple.pages import NAME, dist_file, sha256_of, upstream_link

DIGEST = sha256_of("METADATA")
URL = "https://files.index.test/a.zip"
ANY = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


def anchor(**fields: object) -> str:
    file = dist_file("a.zip", url=URL, **fields)
    lines = encode_page(ProjectPage(NAME, None, files=(file,)), upstream_link).html.decode().splitlines()
    (line,) = [line for line in lines if line.startswith("<a ")]
    return line.replace(file.hashes.sha256.hex(), "HEX").replace(DIGEST.hex(), "META")


def test_a_page_equals_pypis_byte_for_byte() -> None:
    page = ProjectPage(NAME, Serial(7), status="archived", files=(dist_file("a.zip", url=URL),))
    expected = f"""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="archived">    <title>Links for holy-grail</title>
  </head>
  <body>
    <h1>Links for holy-grail</h1>
<a href="https://files.index.test/a.zip#sha256={sha256_of("a.zip").hex()}" >a.zip</a><br />
</body>
</html>
<!--SERIAL 7-->"""
    assert encode_page(page, upstream_link).html.decode() == expected


def test_a_page_without_files_has_no_lines_for_them() -> None:
    assert b"</h1>\n</body>\n</html>\n<!--SERIAL 0-->" in encode_page(ProjectPage(NAME, Serial(0)), upstream_link).html


def test_a_page_without_a_serial_has_no_comment() -> None:
    assert encode_page(ProjectPage(NAME, None), upstream_link).html.endswith(b"</html>")


@pytest.mark.parametrize(
    ("fields", "attributes"),
    [
        ({}, ""),
        ({"requires_python": ">=3,<4"}, 'data-requires-python="&gt;=3,&lt;4" '),
        ({"requires_python": ""}, ""),
        ({"yanked": True}, 'data-yanked="" '),
        ({"yanked": "it's"}, 'data-yanked="it&#39;s" '),
        (
            {"core_metadata": DIGEST},
            'data-dist-info-metadata="sha256=META" data-core-metadata="sha256=META"',
        ),
        ({"provenance": "https://x.test/?a&b"}, ' data-provenance="https://x.test/?a&amp;b"'),
        (
            {"requires_python": "x", "yanked": True, "core_metadata": DIGEST, "provenance": "https://x.test/p"},
            (
                'data-requires-python="x" data-yanked="" data-dist-info-metadata="sha256=META"'
                ' data-core-metadata="sha256=META" data-provenance="https://x.test/p"'
            ),
        ),
    ],
    ids=repr,
)
def test_attributes_have_pypis_order_and_blanks(fields: dict[str, object], attributes: str) -> None:
    assert anchor(**fields) == f'<a href="{URL}#sha256=HEX" {attributes}>a.zip</a><br />'


def test_a_status_is_followed_by_its_reason() -> None:
    page = ProjectPage(NAME, None, status="deprecated", status_reason='use "x" & <y>')
    assert (
        '<meta name="pypi:project-status" content="deprecated">'
        '<meta name="pypi:project-status-reason" content="use &#34;x&#34; &amp; &lt;y&gt;">    <title>'
    ) in encode_page(page, upstream_link).html.decode()


class _Reader(HTMLParser):
    """The tags and texts that a client parses."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@given(ANY, ANY, ANY, ANY, ANY)
@settings(deadline=None)
def test_no_upstream_text_becomes_markup(
    filename: str, url: str, requires_python: str, yanked: str, reason: str
) -> None:
    file = dist_file(filename, url=url, requires_python=requires_python, yanked=yanked, provenance=url)
    page = ProjectPage(NAME, None, status=reason, status_reason=reason, files=(file,))
    reader = _Reader()
    reader.feed(encode_page(page, upstream_link).html.decode())
    reader.close()
    assert [tag for tag, _ in reader.tags] == ["html", "head", "meta", "meta", "meta", "title", "body", "h1", "a", "br"]
    assert filename in reader.texts
    assert reader.tags[2:5][2][1]["content"] == reason
    assert reader.tags[8][1] == _attributes(file)


def _attributes(file: DistFile) -> dict[str, str | None]:
    return {
        "href": f"{file.url}#sha256={file.hashes.sha256.hex()}",
        "data-requires-python": file.requires_python,
        "data-yanked": str(file.yanked),
        "data-provenance": file.provenance,
    }
