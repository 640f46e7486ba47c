"""Make hostile inputs from valid ones: cut a document into tokens, then swap, nest and garble the tokens."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

_TOKEN: Final = re.compile(
    rb'"(?:[^"\\]|\\.){0,400}"|</?[A-Za-z][^>]{0,40}>|[A-Za-z_]+|[0-9]+|%[0-9A-Fa-f]{2}|\s+|.', re.DOTALL
)
_POOL_MAX: Final = 400
"""The number of accepted inputs that are kept for further mutation."""
_LONGEST: Final = 20_000
"""Bytes; tests/hostile covers longer inputs and measures memory."""
_DEEPEST: Final = 3_000
_BYTES: Final = (
    b"\x00",
    b"\xff",
    b"\r\n",
    b"\t",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x7f",
)
_ANYWHERE: Final = (
    *_BYTES,
    b"..",
    b"/",
    b"../../../etc/passwd",
    b"\\",
    b"%2e%2e",
    b"%2F",
    b"%252e%252e%252f",
    b"%00",
    b"\xef\xbc\x8f",
    b"\xe2\x80\xa5",
    b"file:///etc/passwd",
    b"http://user:secret@169.254.169.254:25/",
    b"//other.test/",
    b"<script>alert(1)</script>",
    b"\"'><img src=x>",
    b"-->",
    b"<!--",
    b"&#0;&lt;",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e400",
    b"-0.0",
    b"1.5",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1" * 60,
    b"1" * 4301,
    b"a" * 256,
    b"\xd9\xa1\xd9\xa2",
    b"\xc2\xb2",
)


class Recipe(msgspec.Struct, frozen=True):
    """What a target's inputs are made from."""

    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    """Words with a meaning in the format."""
    brackets: tuple[tuple[bytes, bytes], ...] = ()
    """What opens and closes a nesting level in the format."""


class Mutator:
    """An endless sequence of inputs of one recipe, the same for the same `seed`."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - inputs must be repeatable, not secret
        self._recipe = recipe
        self._words = recipe.words + _ANYWHERE
        self._pool: list[list[bytes]] = [tokens_of(data) for data in recipe.seeds]
        self._kept = len(self._pool)
        self._moves: tuple[Callable[[list[bytes]], None], ...] = (
            self._replace,
            self._replace,
            self._insert,
            self._remove,
            self._repeat,
            self._graft,
            self._swap,
            self._garble,
            self._inside,
            self._inside,
            self._inside,
            *([self._nest] if recipe.brackets else []),
        )

    def next(self) -> bytes:
        """Return an input: sometimes random bytes, otherwise a document with one to six changes."""
        rand = self._random
        if rand.random() < 0.02:
            return rand.randbytes(rand.randrange(64))
        tokens = list(rand.choice(self._pool))
        for _ in range(1 + int(rand.expovariate(1.2)) % 6):
            rand.choice(self._moves)(tokens)
        data = b"".join(tokens)
        if rand.random() < 0.03:
            data = data[: rand.randrange(len(data) + 1)]
        return data if len(data) <= _LONGEST or rand.random() < 0.02 else data[:_LONGEST]

    def accepted(self, data: bytes) -> None:
        """Keep `data`, which was accepted, for further mutation."""
        if len(data) > _LONGEST // 4 or self._random.random() > 0.05:
            return
        tokens = tokens_of(data)
        if len(self._pool) < _POOL_MAX:
            self._pool.append(tokens)
        else:
            self._pool[self._random.randrange(self._kept, _POOL_MAX)] = tokens

    def _at(self, tokens: Sequence[object]) -> int:
        return int(self._random.random() * len(tokens)) if tokens else 0

    def _span(self, tokens: Sequence[bytes]) -> slice:
        start = self._at(tokens)
        return slice(start, start + 1 + int(self._random.expovariate(0.2)))

    def _word(self) -> bytes:
        return self._random.choice(self._words)

    def _replace(self, tokens: list[bytes]) -> None:
        at = self._at(tokens)
        tokens[at : at + 1] = [self._word()]

    def _insert(self, tokens: list[bytes]) -> None:
        tokens.insert(self._at(tokens), self._word())

    def _remove(self, tokens: list[bytes]) -> None:
        del tokens[self._span(tokens)]

    def _repeat(self, tokens: list[bytes]) -> None:
        span = self._span(tokens)
        tokens[span.start : span.start] = tokens[span] * self._random.choice((1, 1, 2, 20))

    def _graft(self, tokens: list[bytes]) -> None:
        other = self._random.choice(self._pool)
        tokens[self._span(tokens)] = other[self._span(other)]

    def _swap(self, tokens: list[bytes]) -> None:
        if tokens:
            first, second = self._at(tokens), self._at(tokens)
            tokens[first], tokens[second] = tokens[second], tokens[first]

    def _garble(self, tokens: list[bytes]) -> None:
        if tokens and (token := tokens[at := self._at(tokens)]):
            position = self._at(token)
            garbled = self._random.randbytes(1) if self._random.random() < 0.5 else self._random.choice(_BYTES)
            tokens[at] = token[:position] + garbled + token[position + 1 :]

    def _inside(self, tokens: list[bytes]) -> None:
        """Put a word into a token, mostly into quoted text."""
        if tokens:
            at = self._at(tokens)
            token = tokens[at]
            if token[:1] == b'"' and len(token) > 1:
                start = 1 + int(self._random.random() * (len(token) - 1))
                end = start if self._random.random() < 0.7 else len(token) - 1
                word = self._word().replace(b'"', b"")
            else:
                start = end = self._at(token)
                word = self._word()
            tokens[at] = token[:start] + word + token[end:]

    def _nest(self, tokens: list[bytes]) -> None:
        opening, closing = self._random.choice(self._recipe.brackets)
        depth = self._random.choice((1, 2, 40, 300, 1100, _DEEPEST))
        span = self._span(tokens)
        tokens[span] = [opening * depth, *tokens[span], closing * depth]


def tokens_of(data: bytes) -> list[bytes]:
    """Split `data` into tokens; joined they equal `data`."""
    return _TOKEN.findall(data)
