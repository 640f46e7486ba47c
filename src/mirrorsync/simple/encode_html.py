"""A project's page as HTML, byte for byte as PyPI writes it, including oddly placed blanks.

PEP 833 freezes this form, and old clients parse it with regular expressions.
Source: PEP 503, 592, 629, 658, 714, 740, 792, 833.
"""

from collections.abc import Sequence
from typing import Final

from mirrorsync.model.page import DistFile, ProjectPage

REPOSITORY_VERSION: Final = '<meta name="pypi:repository-version" content="1.4">'
"""The version of all HTML pages; PEP 833 freezes it."""
_SPECIAL: Final = "&<>\"'"


def html_page(page: ProjectPage, links: Sequence[str]) -> bytes:
    """Return the page with `links` as its files' URLs, every text in it escaped.

    The comment with the serial, at the end, is omitted where the page has none. HTML has no place for unknown keys.
    """
    name = escape(page.name)
    serial = "" if page.serial is None else f"\n<!--SERIAL {page.serial}-->"
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
        f"    {REPOSITORY_VERSION}\n"
        f"{_status(page)}    <title>Links for {name}</title>\n"
        "  </head>\n  <body>\n"
        f"    <h1>Links for {name}</h1>\n"
        f"{_anchors(page.files, links)}</body>\n</html>{serial}"
    )
    return text.encode()


def escape(text: str) -> str:
    """Return `text` escaped for elements and quoted attributes, with the character references that PyPI uses."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")
    )


def _status(page: ProjectPage) -> str:
    status = f'<meta name="pypi:project-status" content="{escape(page.status)}">'
    if page.status_reason is None:
        return status
    return f'{status}<meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">'


def _anchors(files: Sequence[DistFile], links: Sequence[str]) -> str:
    names: Sequence[str] = [file.filename for file in files]
    if _has_special("".join((*names, *links))):
        names, links = list(map(escape, names)), list(map(escape, links))
    # A page repeats a few version ranges, and nearly all have a `<` or `>`.
    ranges: dict[str | None, str] = {
        text: f'data-requires-python="{escape(text)}" ' for text in {file.requires_python for file in files} if text
    }
    return "".join(
        [
            f'<a href="{link}#sha256={file.hashes.sha256.hex()}" '
            f"{ranges.get(file.requires_python, '')}{_attributes(file)}>{name}</a><br />\n"
            for file, link, name in zip(files, links, names, strict=True)
        ]
    )


def _has_special(text: str) -> bool:
    return any(character in text for character in _SPECIAL)


def _attributes(file: DistFile) -> str:
    yanked = metadata = provenance = ""
    if file.yanked is not False:
        yanked = f'data-yanked="{escape(file.yanked) if isinstance(file.yanked, str) else ""}" '
    if file.core_metadata is not None:
        digest = file.core_metadata.hex()
        metadata = f'data-dist-info-metadata="sha256={digest}" data-core-metadata="sha256={digest}"'
    if file.provenance is not None:
        provenance = f' data-provenance="{escape(file.provenance)}"'
    return f"{yanked}{metadata}{provenance}"
