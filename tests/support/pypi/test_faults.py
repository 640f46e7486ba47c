import gzip
import time
import xmlrpc.client
from collections.abc import Iterator

import httpx
import pytest

from tests.support.pypi import faults
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import WorldFile
from tests.support.pypi.wire import SIMPLE_JSON
from tests.support.pypi.world import World

BODY = bytes(range(250)) * 40


@pytest.fixture
def file(world: World) -> WorldFile:
    return world.upload("a", "1.0", filename="a-1.0.zip", content=BODY)


@pytest.fixture
def client(pypi: PyPI) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pypi.url, headers={"accept": SIMPLE_JSON}, timeout=0.5) as opened:
        yield opened


def test_rule_applies_up_to_its_limit_and_then_the_next_one(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    first = pypi.faults.add(r"^/simple/a/", faults.Status(503, (("Retry-After", "1"),)), times=2, method="GET")
    pypi.faults.add(r"^/simple/", faults.False404(), times=1)
    assert client.head("/simple/a/").status_code == 404
    assert [client.get("/simple/a/").status_code for _ in range(3)] == [503, 503, 200]
    assert (first.hits, client.get(f"/{file.path}").status_code) == (2, 200)


def test_stale_page_is_the_one_before_the_serial(world: World, pypi: PyPI, client: httpx.Client) -> None:
    world.upload("a", "1.0")
    world.upload("a", "2.0")
    pypi.faults.add(r"^/simple/a/", faults.Stale(5), times=1)
    pypi.faults.add(r"^/simple/a/", faults.Stale(1), times=1)
    old = client.get("/simple/a/").json()
    assert (old["versions"], old["meta"]["_last-serial"]) == (["1.0"], 4)
    assert client.get("/simple/a/").status_code == 404
    assert client.get("/simple/a/").json()["versions"] == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (faults.WrongBytes(), BODY[:-1] + bytes([BODY[-1] ^ 0xFF])),
        (faults.WrongSize(+3), BODY + b"xxx"),
        (faults.WrongSize(-3), BODY[:-3]),
        (faults.TruncatedXML(), BODY[: len(BODY) // 2]),
        (faults.Drip(1000, 0.001), BODY),
        (faults.DelayHeaders(0.05), BODY),
        (faults.Body(b"other"), b"other"),
    ],
)
def test_complete_answer_may_have_the_wrong_body(
    file: WorldFile, pypi: PyPI, client: httpx.Client, fault: faults.Fault, wanted: bytes
) -> None:
    pypi.faults.add("/packages/", fault)
    assert client.get(f"/{file.path}").content == wanted
    assert client.get(f"/{file.path}").content == wanted, "the connection goes on"


def _read_into(received: bytearray, client: httpx.Client, file: WorldFile) -> None:
    with client.stream("GET", f"/{file.path}") as answer:
        for chunk in answer.iter_raw():
            received += chunk


@pytest.mark.parametrize(
    ("fault", "error", "sent"),
    [
        (faults.Truncate(5000), httpx.RemoteProtocolError, 5000),
        (faults.Truncate(None), httpx.RemoteProtocolError, 0),
        (faults.Reset(5000), httpx.ReadError, 5000),
        (faults.Reset(None), httpx.ReadError, 0),
        (faults.Stall(5000), httpx.ReadTimeout, 5000),
        (faults.Stall(), httpx.ReadTimeout, 0),
    ],
)
def test_broken_answer_sends_its_bytes_and_then_ends_as_configured(
    file: WorldFile,
    pypi: PyPI,
    client: httpx.Client,
    fault: faults.Fault,
    error: type[Exception],
    sent: int,
) -> None:
    pypi.faults.add("/packages/", fault)
    received = bytearray()
    with pytest.raises(error):
        _read_into(received, client, file)
    assert received == BODY[:sent]
    assert pypi.requests[-1].sent == sent


def test_endless_body_continues_until_the_client_closes(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    pypi.faults.add("/packages/", faults.Endless())
    received = 0
    with client.stream("GET", f"/{file.path}") as answer:
        for chunk in answer.iter_raw():
            received += len(chunk)
            if received > 5_000_000:
                break
    assert received > 5_000_000
    pypi.faults.clear()
    assert client.get(f"/{file.path}").content == BODY


def test_all_faults_of_a_rule_apply(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    pypi.faults.add("/packages/", faults.IgnoreRange(), faults.WrongBytes())
    answer = client.get(f"/{file.path}", headers={"range": "bytes=9000-"})
    assert (answer.status_code, len(answer.content), answer.content == BODY) == (200, len(BODY), False)


def test_gzip_on_a_file_sets_content_encoding(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    pypi.faults.add("/packages/", faults.Gzip())
    with client.stream("GET", f"/{file.path}", headers={"accept-encoding": "identity"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())) == BODY


def test_other_hosts_portals_throttles_and_huge_headers(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    path = f"/{file.path}"
    for fault in (
        faults.Redirect("http://elsewhere.test/"),
        faults.Portal(),
        faults.Throttle429(7),
        faults.MediaType("text/plain"),
        faults.HugeHeader(1_000_000),
    ):
        pypi.faults.add("/packages/", fault, times=1)
    moved, portal, throttled, typed = (client.get(path) for _ in range(4))
    assert (moved.status_code, moved.headers["location"]) == (302, "http://elsewhere.test/")
    assert (portal.status_code, portal.headers["content-type"]) == (200, "text/html")
    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
    assert (typed.content, typed.headers["content-type"]) == (BODY, "text/plain")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(path)


def test_rate_limit_is_a_fault_of_the_matching_call(world: World, pypi: PyPI) -> None:
    world.create("a")
    pypi.faults.add("^/pypi$", faults.RateLimitFault(9), times=1, call="changelog_since_serial")
    pypi.faults.add("^/pypi$", faults.RateLimitFault(), times=1, call="changelog_since_serial")
    with xmlrpc.client.ServerProxy(f"{pypi.url}/pypi") as rpc:
        assert rpc.changelog_last_serial() == 2
        with pytest.raises(xmlrpc.client.Fault, match="Limit may reset in 9 seconds"):
            rpc.changelog_since_serial(0)
        with pytest.raises(xmlrpc.client.Fault, match=r"too many requests by the client\.'"):
            rpc.changelog_since_serial(0)
        assert rpc.changelog_since_serial(2) == []


def test_stalled_answer_does_not_block_the_server(file: WorldFile, pypi: PyPI, client: httpx.Client) -> None:
    pypi.faults.add("/packages/", faults.Stall())
    begun = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        client.get(f"/{file.path}")
    assert client.get("/simple/a/").status_code == 200
    pypi.stop()
    assert time.monotonic() - begun < 5
