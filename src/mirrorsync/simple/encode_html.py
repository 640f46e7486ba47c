"""A project's page as HTML, byte for byte as PyPI writes it, blanks at odd places included.

PEP 833 freezes this form, and clients older than any of us read it with regular expressions.
Source: PEP 503, 592, 629, 658, 714, 740, 792, 833.
"""

from collections.abc import Callable
from typing import Final

from mirrorsync.model.page import DistFile, ProjectPage

REPOSITORY_VERSION: Final = '<meta name="pypi:repository-version" content="1.4">'
"""What HTML pages conform to, for ever (PEP 833)."""


def encode_page(page: ProjectPage, link: Callable[[DistFile], str]) -> bytes:
    """Return the page with each file's URL as `link` makes it, everything in it escaped.

    The comment with the serial, last, is left out where the page has none. Unknown keys have no place in HTML.
    """
    name = escape(page.name)
    anchors = "".join([_anchor(file, link(file)) for file in page.files])
    serial = "" if page.serial is None else f"\n<!--SERIAL {page.serial}-->"
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n  <head>\n'
        f"    {REPOSITORY_VERSION}\n"
        f"{_status(page)}    <title>Links for {name}</title>\n"
        "  </head>\n  <body>\n"
        f"    <h1>Links for {name}</h1>\n"
        f"{anchors}</body>\n</html>{serial}"
    )
    return text.encode()


def escape(text: str) -> str:
    """Return `text` so that it stays text inside an element and inside a quoted attribute, as PyPI spells that."""
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;").replace("'", "&#39;")
    )


def _status(page: ProjectPage) -> str:
    status = f'<meta name="pypi:project-status" content="{escape(page.status)}">'
    if page.status_reason is None:
        return status
    return f'{status}<meta name="pypi:project-status-reason" content="{escape(page.status_reason)}">'


def _anchor(file: DistFile, url: str) -> str:
    requires_python = yanked = metadata = provenance = ""
    if file.requires_python:
        requires_python = f'data-requires-python="{escape(file.requires_python)}" '
    if file.yanked is not False:
        yanked = f'data-yanked="{escape(file.yanked) if isinstance(file.yanked, str) else ""}" '
    if file.core_metadata is not None:
        digest = file.core_metadata.hex()
        metadata = f'data-dist-info-metadata="sha256={digest}" data-core-metadata="sha256={digest}"'
    if file.provenance is not None:
        provenance = f' data-provenance="{escape(file.provenance)}"'
    return (
        f'<a href="{escape(url)}#sha256={file.hashes.sha256.hex()}" '
        f"{requires_python}{yanked}{metadata}{provenance}>{escape(file.filename)}</a><br />\n"
    )
