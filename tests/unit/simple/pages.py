"""Pages of an invented project, in the form an index writes."""

import hashlib
from typing import Any

import msgspec

from mirrorsync.model.identity import ProjectName
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.simple.decode import PageDecoder

NAME = ProjectName("holy-grail")
PAGE_URL = "https://index.test/simple/holy-grail/"
FILES_URL = "https://files.index.test"


def place_of(seed: str) -> bytes:
    return hashlib.blake2b(seed.encode(), digest_size=32).digest()


def sha256_of(seed: str) -> bytes:
    return hashlib.sha256(seed.encode()).digest()


def url_of(filename: str, quoted: str | None = None) -> str:
    digits = place_of(filename).hex()
    return f"{FILES_URL}/packages/{digits[:2]}/{digits[2:4]}/{digits[4:]}/{quoted or filename}"


def entry(filename: str = "holy_grail-1.0.tar.gz", **keys: Any) -> dict[str, Any]:
    """One entry with all of PyPI's keys; underscores in `keys` stand for dashes."""
    usual = {
        "core-metadata": False,
        "data-dist-info-metadata": False,
        "filename": filename,
        "hashes": {"sha256": sha256_of(filename).hex()},
        "provenance": None,
        "requires-python": None,
        "size": 1000,
        "upload-time": "2024-03-20T13:00:31Z",
        "url": url_of(filename),
        "yanked": False,
    }
    return usual | {key.replace("_", "-"): value for key, value in keys.items()}


def page(*entries: object, **keys: Any) -> dict[str, Any]:
    """A page with all of PyPI's keys; underscores in `keys` stand for dashes."""
    usual = {
        "files": list(entries),
        "meta": {"_last-serial": 42, "api-version": "1.4"},
        "name": str(NAME),
        "project-status": {"status": "active"},
        "versions": ["1.0"],
    }
    return usual | {key.replace("_", "-"): value for key, value in keys.items()}


def body_of(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted") + b"\n"


def decoded(value: object, *, page_url: str = PAGE_URL) -> ProjectPage:
    return PageDecoder().decode(body_of(value), requested=NAME, page_url=page_url)


def dist_file(filename: str = "holy_grail-1.0.tar.gz", **fields: Any) -> DistFile:
    usual: dict[str, Any] = {
        "filename": filename,
        "place": place_of(filename),
        "url": url_of(filename),
        "size": 1000,
        "hashes": Hashes(sha256_of(filename)),
        "upload_time": "2024-03-20T13:00:31Z",
    }
    return DistFile(**(usual | fields))


def upstream_link(file: DistFile) -> str:
    return file.url
