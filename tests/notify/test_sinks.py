"""The requests of each kind of sink, and the effect of each response."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.identity import Serial
from mirrorsync.model.notification import Announcement, PublicChange
from mirrorsync.model.retry_after import retry_after
from mirrorsync.notify.cache import Cache
from mirrorsync.notify.cloudflare import Cloudflare
from mirrorsync.notify.errors import NotifyError
from mirrorsync.notify.fastly import Fastly
from mirrorsync.notify.webhook import Webhook
from mirrorsync.ports import Sink
from tests.notify.standin import ConfiguredResponse, StandIn

SECRET = "hush-hush-7"  # noqa: S105 -- not a real one
PLACE = "ab" * 32


def project(name: str) -> PublicChange:
    paths = tuple(f"/simple/{name}/{form}" for form in ("", "index.html", "index.v1_html", "index.v1_json"))
    return PublicChange(kind="project", name=name, paths=paths, key=f"simple-{name}")


def file(filename: str) -> PublicChange:
    path = f"packages/ab/ab/{PLACE[4:]}/{filename}"
    return PublicChange(kind="file", name=path, paths=(f"/{path}",), key=f"file-{PLACE}")


def announcement_of(*changes: PublicChange) -> Announcement:
    return Announcement(changes=changes or (project("numpy"),), serial=Serial(77))


def write(path: Path, text: str) -> None:
    path.write_text(text)


def every_kind(url: str, secret: Path) -> list[Sink]:
    return [
        Webhook("webhook 1 (hooks.test)", f"{url}/hook?token=in-the-url", secret, time_limit=0.3),
        Fastly(api=url, service="SERVICE", token_file=secret, time_limit=0.3),
        Cloudflare(api=url, zone="ZONE", token_file=secret, time_limit=0.3),
        Cache("varnish", url, time_limit=0.3),
        Cache("nginx", url, time_limit=0.3),
    ]


KINDS = ["webhook", "fastly", "cloudflare", "varnish", "nginx"]


@pytest.fixture(params=range(len(KINDS)), ids=KINDS)
def sink(request: pytest.FixtureRequest, standin: StandIn, secret: Path) -> Sink:
    sink: Sink = every_kind(standin.url, secret)[request.param]
    return sink


async def test_webhook_receives_changes_as_signed_json(standin: StandIn, secret: Path) -> None:
    await Webhook("webhook", f"{standin.url}/hook", secret).announce(
        announcement_of(project("numpy"), file("numpy-1.0.tar.gz"))
    )
    (request,) = standin.requests
    assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert request.json["serial"] == 77
    assert request.json["everything"] == []
    numpy, tarball = request.json["changes"]
    assert (numpy["kind"], numpy["name"], numpy["key"]) == ("project", "numpy", "simple-numpy")
    assert numpy["paths"][0] == "/simple/numpy/"
    assert tarball["paths"] == [f"/packages/ab/ab/{PLACE[4:]}/numpy-1.0.tar.gz"]


async def test_webhook_signature_is_an_hmac_of_time_and_body(standin: StandIn, secret: Path) -> None:
    await Webhook("webhook", standin.url, secret).announce(announcement_of())
    (request,) = standin.requests
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["x-mirrorsync-signature"])
    assert match is not None
    assert abs(int(match[1]) - time.time()) < 5
    openssl = await trio.run_process(
        ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-r"],
        stdin=match[1].encode() + b"." + request.body,
        capture_stdout=True,
    )
    assert openssl.stdout.split()[0].decode() == match[2]
    other = hmac.new(SECRET.encode(), match[1].encode() + b"." + request.body + b" ", hashlib.sha256)
    assert other.hexdigest() != match[2]


async def test_changed_secret_is_used_without_a_restart(standin: StandIn, secret: Path) -> None:
    sink = Fastly(api=standin.url, service="SERVICE", token_file=secret)
    await sink.announce(announcement_of())
    write(secret, "another-one")
    await sink.announce(announcement_of())
    assert [request.headers["fastly-key"] for request in standin.requests] == [SECRET, "another-one"]


async def test_fastly_purges_by_key_at_most_256_at_once(standin: StandIn, secret: Path) -> None:
    sink = Fastly(api=standin.url, service="SERV/ICE", token_file=secret, soft=True)
    await sink.announce(announcement_of(*[project(f"p{number}") for number in range(300)]))
    assert [request.path for request in standin.requests] == ["/service/SERV%2FICE/purge"] * 2
    assert [len(request.json["surrogate_keys"]) for request in standin.requests] == [256, 44]
    assert standin.requests[0].json["surrogate_keys"][:2] == ["simple-p0", "simple-p1"]
    assert {request.headers["fastly-soft-purge"] for request in standin.requests} == {"1"}


async def test_cloudflare_purges_by_tag_at_most_30_at_once(standin: StandIn, secret: Path) -> None:
    sink = Cloudflare(api=standin.url, zone="ZONE", token_file=secret)
    await sink.announce(announcement_of(*[project(f"p{number}") for number in range(70)]))
    assert [request.path for request in standin.requests] == ["/zones/ZONE/purge_cache"] * 3
    assert [len(request.json["tags"]) for request in standin.requests] == [30, 30, 10]
    assert standin.requests[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_cloudflare_purges_at_most_30_urls_per_request(standin: StandIn, secret: Path) -> None:
    sites = ("https://mirror.test", "https://other.test")
    sink = Cloudflare(api=standin.url, zone="ZONE", token_file=secret, sites=sites)
    await sink.announce(announcement_of(*[project(f"p{number}") for number in range(5)]))
    batches = [request.json["files"] for request in standin.requests]
    assert [len(urls) for urls in batches] == [30, 10]
    assert batches[0][0] == "https://mirror.test/simple/p0/"
    assert batches[1][-1] == "https://other.test/simple/p4/index.v1_json"


async def test_cloudflare_success_false_is_a_failure(standin: StandIn, secret: Path) -> None:
    standin.response = ConfiguredResponse(
        body=b'{"success": false, "errors": [{"code": 1012, "message": "no such zone"}]}'
    )
    with pytest.raises(NotifyError, match="no such zone"):
        await Cloudflare(api=standin.url, zone="ZONE", token_file=secret).announce(announcement_of())


@pytest.mark.parametrize("kind", ["varnish", "nginx"])
async def test_cache_purges_each_path_for_each_host(standin: StandIn, kind: str) -> None:
    sink = Cache(kind, standin.url, sites=("https://mirror.test", "https://other.test:8443"))  # type: ignore[arg-type] # pytest's str
    await sink.announce(announcement_of())
    requests = [(request.method, request.path, request.headers["host"]) for request in standin.requests]
    assert requests == [
        ("PURGE", path, host) for path in project("numpy").paths for host in ("mirror.test", "other.test:8443")
    ]


async def test_purging_an_uncached_address_is_a_success(standin: StandIn) -> None:
    standin.response = ConfiguredResponse(status=404, body=b"not in cache")
    await Cache("nginx", standin.url).announce(announcement_of())
    assert len(standin.requests) == 4


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda url, _: Cache("varnish", url), [("BAN", "/simple/"), ("BAN", "/pypi/"), ("BAN", "/packages/")]),
        (lambda url, _: Cache("nginx", url), [("PURGE", "/simple/*"), ("PURGE", "/pypi/*"), ("PURGE", "/packages/*")]),
    ],
)
async def test_cache_purges_whole_scopes(
    standin: StandIn, secret: Path, make: Callable[[str, Path], Sink], expected: list[tuple[str, str]]
) -> None:
    await make(standin.url, secret).announce(Announcement(everything=("index", "files")))
    assert [(request.method, request.path) for request in standin.requests] == expected


async def test_everything_purges_only_the_key_of_its_scope(standin: StandIn, secret: Path) -> None:
    whole = Announcement(everything=("index",), changes=(file("gone-1.0.tar.gz"),))
    await Fastly(api=standin.url, service="SERVICE", token_file=secret).announce(whole)
    await Cloudflare(api=standin.url, zone="ZONE", token_file=secret).announce(whole)
    by_url = Cloudflare(api=standin.url, zone="ZONE", token_file=secret, sites=("https://mirror.test",))
    await by_url.announce(whole)
    assert [request.json for request in standin.requests] == [
        {"surrogate_keys": ["simple", f"file-{PLACE}"]},
        {"tags": ["simple", f"file-{PLACE}"]},
        {"purge_everything": True},
    ]


async def test_429_is_a_failure_with_its_retry_after(standin: StandIn, sink: Sink) -> None:
    standin.response = ConfiguredResponse(status=429, headers={"Retry-After": "17"})
    with pytest.raises(NotifyError, match="429") as caught:
        await sink.announce(announcement_of())
    assert caught.value.retry_after == 17


async def test_server_error_is_a_failure_that_quotes_the_body(standin: StandIn, sink: Sink) -> None:
    standin.response = ConfiguredResponse(
        status=500, body=f"overloaded, {SECRET} in-the-url ".encode() + b"x" * 1_000_000
    )
    with pytest.raises(NotifyError, match="500") as caught:
        await sink.announce(announcement_of())
    assert "overloaded" in caught.value.why
    assert len(caught.value.why) < 300


async def test_a_redirect_is_not_followed(standin: StandIn, sink: Sink) -> None:
    standin.response = ConfiguredResponse(status=307, headers={"Location": f"{standin.url}/elsewhere"})
    with pytest.raises(NotifyError, match="307"):
        await sink.announce(announcement_of())
    assert len(standin.requests) == 1


async def test_silent_sink_fails_after_the_time_limit(standin: StandIn, sink: Sink) -> None:
    standin.response = ConfiguredResponse(hangs=True)
    began = time.monotonic()
    with pytest.raises(NotifyError, match=r"does not answer within 0\.3 s"):
        await sink.announce(announcement_of())
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=KINDS)
async def test_unreachable_address_is_a_failure(kind: int, secret: Path) -> None:
    with pytest.raises(NotifyError, match="cannot be reached"):
        await every_kind("http://127.0.0.1:9", secret)[kind].announce(announcement_of())


@pytest.mark.parametrize("status", [401, 403, 500])
async def test_no_error_holds_a_secret(standin: StandIn, sink: Sink, status: int, secret: Path) -> None:
    url = f"{standin.url}/hook?token=in-the-url"
    echo = [each for each in (SECRET, url) if isinstance(sink, Webhook) or each == SECRET]
    standin.response = ConfiguredResponse(
        status=status, body=" ".join(echo).encode() if not isinstance(sink, Cache) else b""
    )
    with pytest.raises(NotifyError) as caught:
        await sink.announce(announcement_of())
    assert_without_secrets(caught.value)
    write(secret, "")
    if not isinstance(sink, Cache):
        with pytest.raises(NotifyError, match="is empty") as caught:
            await sink.announce(announcement_of())
        assert_without_secrets(caught.value)


def assert_without_secrets(error: MirrorsyncError) -> None:
    text = f"{error} {error.hint} {error!r} {error.__cause__!r}"
    assert SECRET not in text
    assert "in-the-url" not in text


async def test_secret_may_be_a_systemd_credential(
    standin: StandIn, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Fastly(api=standin.url, service="SERVICE", token_file=Path("/etc/mirrorsync/credential:secret"))
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(NotifyError, match="CREDENTIALS_DIRECTORY is not set"):
        await sink.announce(announcement_of())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(secret.parent))
    await sink.announce(announcement_of())
    assert standin.requests[0].headers["fastly-key"] == SECRET


def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most() -> None:
    assert retry_after("12", longest=3600) == 12
    assert retry_after("999999999999", longest=3600) == 3600
    assert retry_after(None, longest=3600) is None
    assert retry_after("soon", longest=3600) is None
    in_a_minute = retry_after(formatdate(time.time() + 60, usegmt=True), longest=3600)
    assert in_a_minute is not None
    assert 55 < in_a_minute <= 60
    assert retry_after("Mon, 01 Jan 1990 00:00:00 GMT", longest=3600) == 0


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "SOCKS"),
        ("HTTPS_PROXY", "proxy.test:3128x", "port"),
        ("HTTPS_PROXY", "ftp://me:hidden-word@proxy.test", "scheme"),
        ("SSL_CERT_FILE", "/nonexistent/roots.pem", "No such file"),
    ],
)
async def test_unusable_proxy_environment_is_a_sink_failure(
    standin: StandIn, secret: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(NotifyError, match=message) as caught:
        await Webhook("webhook 1 (hooks.test)", f"{standin.url}/hook", secret).announce(announcement_of())
    assert variable in caught.value.hint
    assert "hidden-word" not in f"{caught.value}"
    # A cache uses neither a proxy nor certificates of the environment.
    await Cache("varnish", standin.url).announce(announcement_of())
    assert standin.paths("PURGE") != []
