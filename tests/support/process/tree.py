"""A small served tree, written without a sync."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from mirrorsync.model.identity import Serial, project_name
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.simple import root
from mirrorsync.simple.encode import encode_page
from mirrorsync.simple.layout import file_path, page_paths, relative_link, root_paths, sidecar_path
from tests.support.pypi.distributions import make_sdist, make_wheel

ROOT_SERIAL = Serial(9000)
LARGE = 3 << 20
"""Bytes: more than one chunk of the server."""


class Tree(msgspec.Struct, frozen=True):
    web: Path
    files: dict[str, DistFile]
    """By file name."""

    def path(self, filename: str) -> str:
        """Return the file's path as a request target."""
        return f"/{file_path(self.files[filename].place, filename)}"

    def stored(self, filename: str) -> bytes:
        return (self.web / self.path(filename).lstrip("/")).read_bytes()


def build_tree(web: Path) -> Tree:
    """Write four projects, their pages and the root index below `web`, which is created.

    normal 1.0, 2.0 (wheel, sidecar, sdist; needs Foo.Bar_baz) · Foo.Bar_baz 1.0, large ·
    recalled 1.0, 2.0 (yanked) · modern 1.0, 2.0 (2.0 needs a future Python)
    """
    yanked = msgspec.structs.replace(_wheel(web, "recalled", "2.0"), yanked='eats <data> & "more"')
    pages = (
        _page(
            web,
            "normal",
            101,
            [_wheel(web, "normal", version, requires="Foo.Bar_baz>=1") for version in ("1.0", "2.0")]
            + [_sdist(web, "normal", version) for version in ("1.0", "2.0")],
        ),
        _page(web, "Foo.Bar_baz", 102, [_wheel(web, "Foo.Bar_baz", "1.0", body=os.urandom(LARGE))]),
        _page(web, "recalled", 103, [_wheel(web, "recalled", "1.0"), yanked]),
        _page(
            web, "modern", 104, [_wheel(web, "modern", "1.0"), _wheel(web, "modern", "2.0", requires_python=">=3.99")]
        ),
    )
    listed = [(page.name, str(page.name), page.serial) for page in pages]
    written = list(root.root_parts([listed], ROOT_SERIAL))
    _write(web, root_paths().json, b"".join(part.json for part in written))
    _write_html(web, root_paths().html, root_paths().index_html, b"".join(part.html for part in written))
    _write(web, "last-modified", b"20260901T12:00:00\n")
    _write(web, "lastsync", b"1788264000\n")
    _write(web, "mirrorsync/status.json", b'{"synced_serial":9000}\n')
    _write(web, "pypi/normal/json", b'{"info":{"name":"normal"},"last_serial":101}\n')
    return Tree(web=web, files={file.filename: file for page in pages for file in page.files})


def _page(web: Path, name: str, serial: int, files: Sequence[DistFile]) -> ProjectPage:
    page = ProjectPage(
        name=project_name(name),
        serial=Serial(serial),
        versions=tuple(sorted({file.filename.removesuffix(".tar.gz").split("-")[1] for file in files})),
        files=tuple(files),
    )
    paths = page_paths(page.name)
    _write(web, paths.json, encode_page(page, relative_link).json)
    _write_html(web, paths.html, paths.index_html, encode_page(page, relative_link).html)
    return page


def _wheel(
    web: Path, name: str, version: str, *, requires: str = "", requires_python: str | None = None, body: bytes = b""
) -> DistFile:
    filename, content, metadata = make_wheel(
        name, version, requires_dist=[requires] if requires else [], requires_python=requires_python, body=body
    )
    file = _stored(web, filename, content)
    _write(web, sidecar_path(file.place, filename), metadata)
    return msgspec.structs.replace(
        file, requires_python=requires_python, core_metadata=hashlib.sha256(metadata).digest()
    )


def _sdist(web: Path, name: str, version: str) -> DistFile:
    return _stored(web, *make_sdist(name, version))


def _stored(web: Path, filename: str, content: bytes) -> DistFile:
    place = hashlib.blake2b(content, digest_size=32).digest()
    _write(web, file_path(place, filename), content)
    return DistFile(
        filename=filename,
        place=place,
        url=f"https://files.test/{filename}",
        size=len(content),
        hashes=Hashes(sha256=hashlib.sha256(content).digest()),
        upload_time="2026-08-01T10:00:00.000001Z",
    )


def _write(web: Path, path: str, body: bytes) -> None:
    target = web / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)


def _write_html(web: Path, path: str, link: str, body: bytes) -> None:
    _write(web, path, body)
    (web / link).hardlink_to(web / path)
