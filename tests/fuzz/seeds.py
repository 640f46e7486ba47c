"""Valid documents of each format, and the words with a meaning in it: the material of the inputs."""

import gzip
import hashlib
from typing import Any, Final
from xmlrpc import client as marshal

import httpx
import msgspec

from mirrorsync.model.identity import ProjectName
from mirrorsync.model.page import DistFile
from tests.fuzz.mutate import Recipe

NAME: Final = ProjectName("holy-grail")
PAGE_URL: Final = "https://index.test/simple/holy-grail/"
INDEX_URL: Final = httpx.URL(PAGE_URL)
FILE_URL: Final = httpx.URL("https://files.test/packages/a.whl")
SHA256: Final = hashlib.sha256(b"").hexdigest()
_PLACE: Final = f"packages/{SHA256[:2]}/{SHA256[2:4]}/{SHA256[4:]}"
_FILES: Final = "https://files.test"
_DIGESTS: Final = tuple(hashlib.sha256(seed).hexdigest() for seed in (b"a", b"b"))


def upstream_link(file: DistFile) -> str:
    """Return the file's URL as upstream has it."""
    return file.url


def _entry(filename: str, url: str, **keys: Any) -> dict[str, Any]:
    return {
        "core-metadata": {"sha256": _DIGESTS[0]},
        "data-dist-info-metadata": {"sha256": _DIGESTS[0]},
        "filename": filename,
        "hashes": {"sha256": SHA256},
        "provenance": "https://index.test/integrity/holy-grail/1.0/x/provenance",
        "requires-python": ">=3.8",
        "size": 1000,
        "upload-time": "2024-03-20T13:00:31.123456Z",
        "url": url,
        "yanked": False,
    } | keys


_WHEEL: Final = "holy_grail-1.0-py3-none-any.whl"
_SDIST: Final = "holy_grail-1.0.tar.gz"


def _page(*files: dict[str, Any], **keys: Any) -> bytes:
    usual = {
        "files": list(files),
        "meta": {"_last-serial": 42, "api-version": "1.4"},
        "name": "holy-grail",
        "project-status": {"status": "active", "reason": "why"},
        "versions": ["1.0", "2.0"],
    }
    return msgspec.json.encode(usual | keys)


_JSON_BRACKETS: Final = ((b"[", b"]"), (b'{"a":', b"}"), (b'{"files":[', b"]}"))
PAGE: Final = Recipe(
    seeds=(
        _page(_entry(_WHEEL, f"{_FILES}/{_PLACE}/{_WHEEL}")),
        _page(
            _entry(_SDIST, f"{_FILES}/{_PLACE}/{_SDIST}", yanked="broken & <b>bad</b>"),
            _entry(_WHEEL, f"../../files/{_WHEEL}", hashes={"md5": "0" * 32, "sha256": _DIGESTS[1]}),
        ),
        _page(_entry("a b%.zip", f"{_FILES}/x/a%20b%25.zip", new={"deep": [1, 2.5, None]}), versions=None, new=[1]),
        _page(**{"project-status": {"status": "quarantined"}}),
        b'{"files":[],"meta":{"api-version":"1.0"},"name":"Holy_Grail"}',
    ),
    words=(
        b'"filename"',
        b'"url"',
        b'"hashes"',
        b'"sha256"',
        b'"yanked"',
        b'"size"',
        b'"meta"',
        b'"_last-serial"',
        b'"core-metadata"',
        b'"requires-python"',
        b'"provenance"',
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\r\\nX-Evil: 1"',
        b"\\u003cscript\\u003e",
        b'{"sha256":"' + SHA256.encode() + b'"}',
        b"{}",
        b"[]",
        b'""',
        b",",
        b":",
        b".metadata",
    ),
    brackets=_JSON_BRACKETS,
)


def _answer(value: Any) -> bytes:
    return marshal.dumps((value,), methodresponse=True, allow_none=True).encode()


_ROW: Final = ["holy-grail", "1.0", 1_700_000_000, "add py3 file x.whl", 7]
JOURNAL: Final = Recipe(
    seeds=(
        _answer([_ROW, ["b", None, 1_700_000_001, "remove project", 8]]),
        _answer([[None, None, 1, "create", 9]]),
        _answer(12_345),
        _answer([]),
        marshal.dumps(marshal.Fault(-32500, "HTTPTooManyRequests: Limit may reset in 5 seconds.")).encode(),
        (
            b"<?xml version='1.0'?>\n<methodResponse><params><param><value><struct><member><name>a</name>"
            b"<value><double>1.5</double></value></member></struct></value></param></params></methodResponse>"
        ),
    ),
    words=(
        *(
            f"<value><{kind}>{text}</{kind}></value>".encode()
            for kind, text in (
                ("int", "-1"),
                ("i8", str(2**63)),
                ("double", "nan"),
                ("boolean", "2"),
                ("string", "&lt;&#0;"),
                ("dateTime.iso8601", "x"),
                ("base64", "%%"),
                ("bigdecimal", "1E+1000000"),
                ("bigdecimal", "NaN"),
                ("biginteger", "9" * 4000),
                ("ex:serializable", "x"),
            )
        ),
        b"<nil/>",
        b"<value>",
        b"</value>",
        b"<!ENTITY a 'b'>",
        b"<!DOCTYPE a>",
        b"&a;",
        b"&#x0;",
        b"<![CDATA[",
        b"]]>",
        b"<?x?>",
        b"</methodResponse>",
        b"<fault>",
    ),
    brackets=((b"<value><array><data>", b"</data></array></value>"), (b"<a>", b"</a>")),
)
ROOT: Final = Recipe(
    seeds=(
        (
            b'{"meta":{"_last-serial":9,"api-version":"1.4"},"projects":[{"_last-serial":4,"name":"Holy.Grail"},'
            b'{"_last-serial":"5","name":"b"},{"name":"c"}]}'
        ),
        b'{"projects":[{"name":"a","_last-serial":1,"new":[{"name":"x"}]}],"meta":{"api-version":"1.0"}}',
        b'{"projects":[]}',
    ),
    words=(b'"projects"', b'"name"', b'"meta"', b'"_last-serial"', b'"api-version"', b'"2.0"', b'"\\ud800"', b","),
    brackets=_JSON_BRACKETS,
)
CONFIGURATION: Final = Recipe(
    seeds=(
        b'[mirror]\ndirectory = "/srv/pypi"\ncontact = "a@b.test"\n',
        (
            b'[mirror]\ndirectory = "x"\ncontact = "a@b.test"\n[upstream]\nindex = "https://index.test"\n'
            b'feed = "json"\n'
            b'connections = 10\npoll-interval = "60s"\nallow-http = false\nfile-hosts = ["files.test"]\n'
            b'proxy = "http://proxy.test:3128"\n[select]\nprojects = ["a", "B.c"]\nexclude = ["d"]\n[content]\n'
            b'files = true\nmetadata = true\nlegacy-json = false\nroot-url = "https://mirror.test"\n[limits]\n'
            b'max-removed-projects = 1000\nmax-removed-bytes = "500 GiB"\nmin-free = "20 GiB"\nremoval-grace = "1d"\n'
        ),
    ),
    words=(
        b'"credential:x"',
        b'"1e9 GiB"',
        b'"-1s"',
        b'"\xc2\xb2s"',
        b"1979-05-27T07:32:00Z",
        b"07:32:00",
        b"nan",
        b"inf",
        b'"""',
        b"'''",
        b"[[mirror]]",
        b"{a.b = 1}",
        b"0x_1",
        b'"\\u0000"',
        b"\n",
        b"=",
    ),
    brackets=((b"[", b"]"), (b"{a = ", b"}")),
)
_URL_WORDS: Final = (
    b"http://",
    b"https://",
    b"HTTP://",
    b"/../",
    b"/./",
    b"//",
    b"///",
    b"@",
    b":",
    b":443",
    b":99999",
    b"?",
    b"#",
    b"[::1]",
    b"[",
    b"127.0.0.1",
    b"0x7f.1",
    b"xn--",
    b"\xe3\x80\x82",
    b"\xc5\xbf",
    b"\xef\xbd\x81",
    b"files.test",
    b"index.test",
    b"%",
    b"%zz",
    b"%c0%ae",
    b"%FF",
    b".",
    b"NAME",
    b"\n",
    b".metadata",
    b".METADATA",
    b"javascript:",
    b"data:,",
    b"Wed, 21 Oct 2015 07:28:00 GMT",
    b"120",
)
FILE: Final = Recipe(
    seeds=(
        f"{_WHEEL}\n{_FILES}/{_PLACE}/NAME".encode(),
        b"a b.zip\nhttps://files.test/x/a%20b.zip",
        b"x.whl\n../../files/NAME#sha256=1",
        "ü.zip\n/files/%C3%BC.zip?x=1".encode(),
    ),
    words=_URL_WORDS,
)
NAMES: Final = Recipe(
    seeds=(b"holy-grail", b"Holy_.-Grail", f"{_PLACE}/{_WHEEL}".encode(), b"simple/a/index.html", b"a" * 255),
    words=_URL_WORDS,
)
WEB: Final = Recipe(
    seeds=(
        (
            b"/simple/holy-grail/\napplication/vnd.pypi.simple.v1+json, text/html;q=0.1\nformat=text/html\nbytes=0-9\n"
            b'Wed, 21 Oct 2015 07:28:00 GMT\n"abc-1", W/"x"'
        ),
        b"/simple/Holy_Grail\n*/*;q=0.5,text/*;q=0\na=b&format=application%2Fjson\nbytes=-5\nx\n*",
        f"/{_PLACE}/{_WHEEL}\n\n\nbytes=5-\n\n".encode(),
        b"/pypi/A.b/json",
        b"/mirrorsync/",
        b"/",
        b"/last-modified",
    ),
    words=(*_URL_WORDS, b";q=", b"q=1.0000", b"bytes=", b"-", b",", b'"', b"W/", b'"_last-serial":1}', b"\r\nX: y"),
)
ADDRESSES: Final = Recipe(
    seeds=(
        b"https://files.test/packages/a.whl",
        b"http://index.test/simple/Holy_Grail/",
        b"/simple/holy.grail/",
        b"//index.test/simple/holy-grail/?x#y",
        b"https://user:pass@files.test:443/",
        b"https://[::1]:8080/simple",
        b"files.test:8443",
        b"Wed, 21 Oct 2015 07:28:00 GMT",
    ),
    words=_URL_WORDS,
)
GZIP: Final = Recipe(
    seeds=(
        gzip.compress(b"", mtime=0),
        gzip.compress(b"holy grail" * 50, mtime=0),
        gzip.compress(b"\0" * 300_000, mtime=0),
        gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0),
    ),
    words=(gzip.compress(b"x", mtime=0), b"\x1f\x8b\x08", b"\x00\x00\xff\xff"),
)
HTTP: Final = Recipe(
    seeds=(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nholy!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nholy!\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\nHEAD",
    ),
    words=(
        b"\r\n",
        b"\n",
        b"\r\n ",
        b"HTTP/1.1 101 x\r\n\r\n",
        b"HTTP/2.0",
        b"Content-Length",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Upgrade: x\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b": ",
        b"5 ",
        b"+5",
        b"0x5",
        b"204",
        b"999",
    ),
)
LEGACY: Final = Recipe(
    seeds=(b'{"info":{"name":"Holy.Grail","version":"1.0"},"releases":{"1.0":[]},"last_serial":7}',),
    words=(b'"info"', b'"name"', b'"\\ud800"', b","),
    brackets=_JSON_BRACKETS,
)
