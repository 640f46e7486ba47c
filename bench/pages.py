"""What an upstream says: pages, lists and XML-RPC answers, in PyPI's own shapes. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from xmlrpc import client

import msgspec

from bench.recipes import Recipe, project

UPLOADED: Final = 1_714_564_800.25
"""Seconds since the epoch at which every file was uploaded; exact as a float, and as a file's time."""
_UPLOADED_ISO: Final = "2024-05-01T12:00:00.250000Z"
_DESCRIPTION: Final = "A parcel that holds nothing of use, so that a mirror has something to carry. " * 40


class Upload(msgspec.Struct, frozen=True):
    version: str
    filename: str
    place: str
    """64 hex digits: blake2b-256 of the content."""
    sha256: str
    size: int
    metadata_sha256: str = ""
    """Empty: it has no sidecar."""
    metadata_size: int = 0

    @property
    def path(self) -> str:
        return f"packages/{self.place[:2]}/{self.place[2:4]}/{self.place[4:]}/{self.filename}"


def simple(recipe: Recipe, serial: int, uploads: Sequence[Upload]) -> bytes:
    page = {
        "files": [_simple_file(recipe, upload) for upload in uploads],
        "meta": {"_last-serial": serial, "api-version": "1.4"},
        "name": project(serial),
        "project-status": {"status": "active"},
        "versions": [upload.version for upload in uploads],
    }
    return msgspec.json.encode(page)


def _simple_file(recipe: Recipe, upload: Upload) -> dict[str, Any]:
    metadata = {"sha256": upload.metadata_sha256} if upload.metadata_sha256 else False
    return {
        "core-metadata": metadata,
        "data-dist-info-metadata": metadata,
        "filename": upload.filename,
        "hashes": {"sha256": upload.sha256},
        "provenance": None,
        "requires-python": ">=3.9",
        "size": upload.size,
        "upload-time": _UPLOADED_ISO,
        "url": f"{recipe.base}/{upload.path}",
        "yanked": False,
    }


def legacy(recipe: Recipe, serial: int, uploads: Sequence[Upload]) -> bytes:
    document = {
        "info": {
            "author": "The parcel authors",
            "classifiers": ["Programming Language :: Python :: 3"] * 5,
            "description": _DESCRIPTION,
            "description_content_type": "text/markdown",
            "name": project(serial),
            "requires_dist": ["requests>=2", "rich"],
            "requires_python": ">=3.9",
            "summary": _DESCRIPTION[:70],
            "version": uploads[-1].version,
        },
        "last_serial": serial,
        "releases": {upload.version: [_legacy_file(recipe, upload)] for upload in uploads},
        "urls": [_legacy_file(recipe, uploads[-1])],
        "vulnerabilities": [],
    }
    return msgspec.json.encode(document)


def _legacy_file(recipe: Recipe, upload: Upload) -> dict[str, Any]:
    wheel = upload.filename.endswith(".whl")
    return {
        "comment_text": None,
        "digests": {"blake2b_256": upload.place, "md5": upload.sha256[:32], "sha256": upload.sha256},
        "downloads": -1,
        "filename": upload.filename,
        "has_sig": False,
        "md5_digest": upload.sha256[:32],
        "packagetype": "bdist_wheel" if wheel else "sdist",
        "python_version": "py3" if wheel else "source",
        "requires_python": ">=3.9",
        "size": upload.size,
        "upload_time": _UPLOADED_ISO[:19],
        "upload_time_iso_8601": _UPLOADED_ISO,
        "url": f"{recipe.base}/{upload.path}",
        "yanked": False,
        "yanked_reason": None,
    }


def root(recipe: Recipe) -> bytes:
    listed = [{"_last-serial": serial, "name": project(serial)} for serial in recipe.serials]
    return msgspec.json.encode({"meta": {"_last-serial": recipe.last, "api-version": "1.4"}, "projects": listed})


def xmlrpc_answers(recipe: Recipe) -> Iterable[tuple[str, bytes]]:
    """Yield the answer to each method by its name; `nothing` is an empty changelog."""
    rows = [[project(serial), "11.0", int(UPLOADED), "new release", serial] for serial in recipe.paged]
    yield "changelog_since_serial", _answer(rows)
    yield "nothing", _answer([])
    yield "changelog_last_serial", _answer(recipe.last)
    yield "list_packages_with_serial", _answer({project(serial): serial for serial in recipe.serials})


def _answer(value: Any) -> bytes:
    return client.dumps((value,), methodresponse=True).encode()
