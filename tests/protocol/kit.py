"""Helpers of the protocol tests: recorded requests, published files, and custom faults."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from mirrorsync.app.wiring import open_context
from mirrorsync.state.runs import Totals
from mirrorsync.sync import single_pass as passes
from tests.support.mirror import Mirror, RecordingObserver
from tests.support.pypi.exchange import Answer, Recorded, Request
from tests.support.pypi.faults import Ask, Fault
from tests.support.pypi.server import PyPI

HOUR = 3600.0
DAY = 86400.0
REPEAT = 181.0
"""Seconds after which a repeated 404 counts as a new one."""


class Edited(Fault, frozen=True):
    """The real JSON, changed by `edit` in place."""

    edit: Callable[[dict[str, Any]], object]

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        document = json.loads(answer.body)
        self.edit(document)
        return replace(answer, body=json.dumps(document).encode())


class Meanwhile(Fault, frozen=True):
    """The real response; `happen` is called before it is sent."""

    happen: Callable[[], object]

    def apply(self, answer: Answer, _request: Request, _ask: Ask, /) -> Answer:
        self.happen()
        return answer


def page_asks(pypi: PyPI, name: str = "[^/]+") -> list[Recorded]:
    return [request for request in pypi.requests if re.fullmatch(f"/simple/{name}/", request.path)]


def asked_for(pypi: PyPI) -> list[str]:
    return sorted(request.path.split("/")[2] for request in page_asks(pypi))


def cursors(pypi: PyPI) -> list[int]:
    """Return the serials from which the changelog was read."""
    asked = pypi.seen("/pypi", call="changelog_since_serial")
    return [int(match[1]) for request in asked if (match := re.search(rb"<int>(\d+)</int>", request.body))]


def stamps(web: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in web.glob("simple/*/index.*")}


def tree(web: Path) -> dict[str, bytes]:
    """Return everything that clients see, except the status."""
    files = (path for folder in ("simple", "packages") for path in (web / folder).rglob("*") if path.is_file())
    return {path.relative_to(web).as_posix(): path.read_bytes() for path in files}


def serves(mirror: Mirror, name: str) -> bool:
    return (mirror.web / "simple" / name).exists()


def listed(mirror: Mirror) -> dict[str, int]:
    """Return the mirror's own root list: display names and serials."""
    root = json.loads((mirror.web / "simple" / "index.v1_json").read_bytes())
    return {project["name"]: project["_last-serial"] for project in root["projects"]}


def unmet(mirror: Mirror) -> list[str]:
    return sorted(project["name"] for project in mirror.status()["unmet"])


def reported(mirror: Mirror) -> str:
    """Return the notices and outcomes of the mirror's observer as one text."""
    return " ".join([*mirror.observer.notices, *map(str, mirror.observer.outcomes)])


async def sync_with_consent(mirror: Mirror) -> Totals:
    """Run a pass as with `--allow-removals`."""
    mirror.observer = RecordingObserver()
    async with open_context(
        mirror.settings, mirror.observer, mirror.clock, mirror.clock.sleep, allow_removals=True
    ) as context:
        return await passes.sync(context)
