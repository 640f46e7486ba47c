"""Passwords, tokens and signatures are masked in any text."""

import time
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from mirrorsync.observe.redaction import MASK, mask, secrets_of

_SECRET: Final = "Zs3cr3tZ"  # noqa: S105 -- a stand-in for one
"""A secret that each text contains and no masked text may contain."""


@pytest.mark.parametrize(
    "text",
    [
        f"http://user:{_SECRET}@proxy.test:3128",
        f"the proxy http://{_SECRET}:password@proxy.test:3128/ refuses",
        f"HTTPS://{_SECRET}@host.test/path",
        f"http://user:p@ss{_SECRET}@host.test/",
        f"http://user:pa/ss?{_SECRET}@host.test/",
        f"b'http://user:{_SECRET}@host.test/'",
        f'{{"url":"http://user:{_SECRET}@host.test"}}',
        f"user:{_SECRET}@proxy.test:3128",
        f"proxy=user:{_SECRET}@proxy.test:3128",
        f"//user:{_SECRET}@proxy.test",
        f"http://one.test,http://user:{_SECRET}@two.test",
        f"https://files.test/x.whl?X-Amz-Signature={_SECRET}&X-Amz-Date=1",
        f"https://files.test/x.whl?{_SECRET}",
        f"/x.whl?sig={_SECRET}",
        f"'https://files.test/x?a={_SECRET}', and more",
        f"Authorization: Basic {_SECRET}==",
        f"authorization=Bearer {_SECRET}",
        f"[(b'Authorization', b'Bearer {_SECRET}')]",
        f'{{"api_key": "{_SECRET}"}}',
        f"password = {_SECRET}",
        f"Fastly-Key-Token: {_SECRET}",
        f"webhook-secret={_SECRET}; path=/",
        f"a token pypi-AgEIcHlwaS5vcmc{_SECRET} of an index",
    ],
)
def test_a_secret_is_masked(text: str) -> None:
    masked = mask(text)
    assert _SECRET not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    "text",
    [
        "numpy-2.1.0.tar.gz: got sha256 3f9a, promised is 77c2 (18.4 MiB)",
        "page https://index.test:8443/simple/numpy/ says serial 7, and 8 is wanted",
        "what is wrong? it is unknown",
        "write to mirror-admin@site.test",
        "https://index.test/simple/ (HTTP 503), and https://files.test/a/b#sha256=00ff",
        "the basic idea",
        "pypi-agent-of-some-kind-or-other: HTTP 404",
    ],
)
def test_ordinary_text_is_not_masked(text: str) -> None:
    assert mask(text) == text


def test_a_masked_url_keeps_its_host_and_path() -> None:
    masked = mask("see 'https://user:word@files.test:8443/a/b.whl?sig=1', again")
    assert masked == "see 'https://***@files.test:8443/a/b.whl?***', again"


def test_messages_of_httpx_are_masked() -> None:
    url = f"https://user:{_SECRET}@files.test/x.whl?sig={_SECRET}"
    response = httpx.Response(404, request=httpx.Request("GET", url))
    with pytest.raises(httpx.HTTPStatusError) as caught:
        response.raise_for_status()
    assert _SECRET in str(caught.value)
    assert _SECRET not in mask(str(caught.value))


@pytest.mark.parametrize("password", ["a b/c?d@e", "p%40ss word", "Ümlaut#1"])
def test_a_password_of_the_configuration_is_masked_in_every_spelling(password: str) -> None:
    quoted = quote(password, safe="")
    secrets = secrets_of(f"http://user:{quoted}@proxy.test:3128")
    assert password in secrets
    for text in (password, quoted, f"the proxy says: {password!s}!", f"user:{password}"):
        assert password not in mask(text, secrets)
        assert quoted not in mask(text, secrets)


def test_a_password_of_a_letter_does_not_mask_every_word() -> None:
    assert mask("an apple", secrets_of("http://u:a@proxy.test")) == "an apple"


def test_a_secret_at_the_length_limit_is_not_shown_in_part() -> None:
    masked = mask("x" * 16_000 + f" http://user:{_SECRET}" + "y" * 1000 + "@host.test")
    assert _SECRET not in masked
    assert mask("http://user:" + _SECRET + "y" * 20_000 + "@host.test") == "(a word of more than 16384 characters)"


@pytest.mark.parametrize("piece", ["://", "a-", ":", "@", "?=", "password", "basic ", "user:", "a@"])
def test_masking_takes_linear_time(piece: str) -> None:
    text = piece * (16_384 // len(piece))
    began = time.process_time()
    mask(text)
    assert time.process_time() - began < 0.2
