"""The legacy JSON document, which is passed on and not understood. Source: `/pypi/<name>/json`."""

from http import HTTPStatus
from typing import Final

import msgspec

from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, project_name
from mirrorsync.upstream.http import errors as answers
from mirrorsync.upstream.http.response import Reply

_LIMIT: Final = 128 * 2**20
"""Bytes at most; nightly projects with thousands of releases have some 40 MB."""
_TYPE: Final = "application/json"


class LegacyAnswer(msgspec.Struct, frozen=True):
    """What came."""

    status: int
    what: str
    body: bytes


class _Info(msgspec.Struct):
    name: str


class _Document(msgspec.Struct):
    info: _Info


async def read(reply: Reply) -> LegacyAnswer:
    """Read the whole answer. Raises: Malformed (another type, too large)."""
    if reply.status == HTTPStatus.OK and reply.media_type != _TYPE:
        raise answers.wrong_type(reply.what, found=reply.media_type, wanted=_TYPE)
    return LegacyAnswer(reply.status, reply.what, await reply.body(_LIMIT))


def checked(answer: LegacyAnswer, project: ProjectName) -> bytes:
    """Return the body. Raises: Malformed, when it is not whole, or another project's."""
    try:
        named = project_name(msgspec.json.decode(answer.body, type=_Document).info.name)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(answer.what, why=f"not the document that was asked for ({str(error)[:200]})") from error
    if named != project:
        raise Malformed(answer.what, why=f"it is the document of {named}")
    return answer.body
