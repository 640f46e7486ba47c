"""What tests ask of an upstream in one call."""

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.page import PageRequest, ProjectPage, Unchanged
from mirrorsync.ports import Upstream


async def request_page(
    upstream: Upstream, name: str, *, at_least: int = 0, etag: str | None = None, attempt: int = 0
) -> ProjectPage | Unchanged:
    """Return the page of one project. Raises: the failure that its result holds."""
    request = PageRequest(name=ProjectName(name), at_least=Serial(at_least), etag=etag, attempt=attempt)
    async with upstream.pages([request]) as groups:
        (result,) = [result async for group in groups for result in group]
    assert result.request == request
    if isinstance(result.outcome, MirrorsyncError):
        raise result.outcome
    return result.outcome
