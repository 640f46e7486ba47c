"""A project's page in the forms that the mirror serves."""

from collections.abc import Callable

import msgspec

from mirrorsync.model.page import DistFile, ProjectPage
from mirrorsync.simple.encode_html import html_page
from mirrorsync.simple.encode_json import json_page


class EncodedPage(msgspec.Struct, frozen=True, gc=False):
    """A page, encoded."""

    json: bytes
    html: bytes
    content_digest: bytes
    """The sha256 of the JSON form without its serial: equal for pages that differ in their serial only."""


def encode_page(page: ProjectPage, link: Callable[[DistFile], str]) -> EncodedPage:
    """Return the page with the URL that `link` gives each file."""
    links = [link(file) for file in page.files]
    json, content_digest = json_page(page, links)
    return EncodedPage(json=json, html=html_page(page, links), content_digest=content_digest)
