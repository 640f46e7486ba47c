"""Mask passwords, tokens and signatures in any text."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "***"
_LONGEST: Final = 16_384
"""Characters that are searched; the rest of the text is dropped."""
_WORD: Final = re.compile(r"\S+")
_ENDING: Final = ")]}>'\",;:."
"""Characters that follow a URL in prose and are not part of it."""
_BEFORE: Final = "('\"<[{=,/"
"""Characters that precede a user name in a URL without a scheme."""
SHORTEST_SECRET: Final = 4
"""Characters: a shorter string occurs in ordinary words."""
_TOKENS: Final = (
    # An Authorization header, or a piece of one: RFC 9110 11.6.2.
    re.compile(r"\b(basic|bearer)[\s:=]+[\w+/=.~-]{6,}", re.IGNORECASE),
    # `name=value` and `name: value`, with any quotes.
    re.compile(
        r"\b([\w-]{0,40}(?:password|passwd|pwd|secret|token|signature|api[_-]?key|access[_-]?key|authorization))"
        r"(?:['\"]?\s*[=:]\s*['\"]?)(?!\*\*\*)[^\s'\",;&)]+",
        re.IGNORECASE,
    ),
    # A token of an index (PyPI's are macaroons, which begin like this).
    re.compile(r"\b(pypi)-AgE[\w-]{16,}"),
)


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the user names, passwords and queries of its URLs, without tokens, and without `secrets`.

    It masks too much rather than too little. The time is linear in the length of the text.
    """
    if len(text) > _LONGEST:
        # Do not cut inside a word: it could be a URL whose `@` is lost, and with it the sign of a password.
        text = text[:_LONGEST].rpartition(" ")[0] or f"(a word of more than {_LONGEST} characters)"
    for secret in secrets:
        text = text.replace(secret, MASK)
    text = _WORD.sub(_masked_word, text)
    for token in _TOKENS:
        text = token.sub(rf"\1 {MASK}", text)
    return text


def secrets_of(url: str | None) -> frozenset[str]:
    """Return the forms in which the password of `url`, and user name and password together, may occur in a text."""
    if url is None:
        return frozenset()
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    found = {userinfo, parts.password or ""}
    found |= {unquote(one) for one in found}
    found |= {form(one) for one in found for form in (quote, quote_plus)}
    return frozenset(one for one in found if len(one) >= SHORTEST_SECRET)


def _masked_word(match: re.Match[str]) -> str:
    """Mask a run of characters without white space: from `://` to the last `@`, and from `?` to the end."""
    word = match[0]
    head, separator, rest = word.partition("://")
    if separator and "@" in rest:
        word = f"{head}://{MASK}@{rest.rpartition('@')[2]}"
    elif "@" in word:
        word = _without_userinfo(word)
    before, mark, query = word.partition("?")
    if mark and (separator or "=" in query):
        secret = query.rstrip(_ENDING)
        word = f"{before}?{MASK if secret else ''}{query[len(secret) :]}"
    return word


def _without_userinfo(word: str) -> str:
    """Mask `user:password@` in a URL without a scheme."""
    before, _, host = word.rpartition("@")
    colon = before.find(":")
    if colon < 0:
        return word
    begin = 1 + max(before.rfind(one, 0, colon) for one in _BEFORE)
    return f"{before[:begin]}{MASK}@{host}"
