"""The fuzz targets: each takes any bytes and either raises its typed error or returns a harmless value."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import msgspec
from starlette.datastructures import Headers
from starlette.responses import FileResponse, RangeNotSatisfiable
from starlette.staticfiles import StaticFiles

from mirrorsync.config.load import parse
from mirrorsync.errors import BadConfig, Malformed, Refused, UpstreamError
from mirrorsync.model.identity import ProjectName, Serial, is_segment, project_name, store_path
from mirrorsync.model.page import DistFile, Hashes, ProjectPage
from mirrorsync.model.retry_after import retry_after
from mirrorsync.simple import layout, root
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.simple.decode_file import decode_file
from mirrorsync.simple.encode import encode_page
from mirrorsync.simple.wire import Unfit, WireFile, WireHashes
from mirrorsync.upstream import address, extras, xmlrpc
from mirrorsync.upstream.http.allowed_urls import AllowedUrls
from mirrorsync.upstream.http.errors import RemoteProtocolError
from mirrorsync.upstream.http.http1 import ResponseParser
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.url import Url, UrlError, authority
from mirrorsync.upstream.http.url import parse as parse_url
from mirrorsync.upstream.pypi import to_batch, to_serial
from mirrorsync.upstream.root_list import RootReader
from mirrorsync.web.headers import effective_headers, entity_tag, find_serial, object_headers, serial_excerpts
from mirrorsync.web.negotiation import choose
from mirrorsync.web.routing import File, Page, Redirect, route
from tests.fuzz import seeds
from tests.fuzz.mutate import Recipe
from tests.hostile.markup import markup_problems
from tests.support.oracle.pages import read_html, read_json, read_root_html, read_root_json

_WEB: Final = "/tree/web"
_SERIAL_MAX: Final = 2**63 - 1
_BODY_MAX: Final = 200_000
"""The limit of decoded bytes for the inflater."""


class Target(msgspec.Struct, frozen=True):
    """A decoder and the material of its inputs. `check` returns whether the input was accepted."""

    name: str
    check: Callable[[bytes], bool]
    recipe: Recipe


def require(holds: object, otherwise: str) -> None:
    """Raise AssertionError with `otherwise` unless `holds`, also under -O."""
    if not holds:
        raise AssertionError(otherwise)


def require_confined(path: str) -> None:
    """Refuse a store path that leaves the tree or that no file system accepts."""
    require(os.path.normpath(os.path.join(_WEB, path)) == f"{_WEB}/{path}", f"{path!r} leaves the tree")  # noqa: PTH118 - Path would normalise what this looks for
    require(path and "\x00" not in path and "\\" not in path, f"{path!r} is no path")
    require(all(len(segment.encode()) <= 255 for segment in path.split("/")), f"{path!r} has too long a segment")


def page(data: bytes) -> bool:
    """A PEP 691 page, and what is published of it."""
    try:
        decoded = PageDecoder().decode(data, requested=seeds.NAME, page_url=seeds.PAGE_URL)
    except Malformed as refusal:
        require_message(refusal)
        return False
    for file in decoded.files:
        require_confined(layout.file_path(file.place, file.filename))
    require(decoded.serial is None or 0 <= decoded.serial <= _SERIAL_MAX, f"serial {decoded.serial}")
    _check_json(decoded)
    _check_html(decoded)
    return True


def _check_json(decoded: ProjectPage) -> None:
    again = PageDecoder().decode(
        encode_page(decoded, seeds.upstream_link).json, requested=seeds.NAME, page_url=seeds.PAGE_URL
    )
    require(_in_order(again) == _in_order(decoded), f"JSON reads back as {again}, not {decoded}")


def _in_order(decoded: ProjectPage) -> ProjectPage:
    """Return the page without fields that are not written, and with hashes in the order of the JSON."""
    files = tuple(
        msgspec.structs.replace(one, hashes=Hashes(one.hashes.sha256, tuple(sorted(one.hashes.others))))
        for one in decoded.files
    )
    return msgspec.structs.replace(decoded, files=files, sidecars_untold=0, later_version=None)


def _check_html(decoded: ProjectPage) -> None:
    body = encode_page(decoded, layout.relative_link).html
    problems = markup_problems(body, anchors=len(decoded.files), serial=decoded.serial)
    require(not problems, f"HTML holds {problems}")
    published = read_html(body)
    in_json = read_json(encode_page(decoded, layout.relative_link).json)
    require(published.status == decoded.status, f"status {published.status!r}, not {decoded.status!r}")
    for link, other, file in zip(published.links, in_json.links, decoded.files, strict=True):
        require(link.filename == file.filename, f"link {link.filename!r}, not {file.filename!r}")
        require(link.sha256 == file.hashes.sha256.hex(), "another digest")
        require((link.requires_python or None) == (file.requires_python or None), f"{link.requires_python!r}")
        require(link.yanked == file.yanked == other.yanked, f"yanked {link.yanked!r}, not {file.yanked!r}")
        require(link.provenance == file.provenance, f"provenance {link.provenance!r}")
        require(link.url == other.url == layout.relative_link(file), f"leads to {link.url!r}")


def require_message(error: Exception) -> None:
    """Refuse an error message that is unreadable or too long for a log."""
    require(len(str(error)) <= 2000, f"a message of {len(str(error)):,} characters")


def journal(data: bytes) -> bool:
    """XML-RPC answers with journal rows."""
    try:
        value = xmlrpc.loads(data, what="the journal")
    except UpstreamError as refusal:
        require_message(refusal)
        return False
    for read in (lambda: to_batch(value, since=Serial(0), what="rows"), lambda: to_serial(value, what="serial")):
        try:
            read()
        except Malformed as refusal:
            require_message(refusal)
    return True


def root_list(data: bytes) -> bool:
    """The root list, in chunks whose size is the first byte, and the root index that is published of it."""
    step = 1 + (data[0] * 7 if data else 0)
    reader = RootReader("root list")
    try:
        listed = [one for at in range(0, len(data), step) for one in reader.feed(data[at : at + step])]
        listed += reader.end()
    except Malformed as refusal:
        require_message(refusal)
        return False
    for one in listed:
        require_confined(layout.page_paths(one.name).json)
        require(one.serial is None or 0 <= one.serial <= _SERIAL_MAX, f"serial {one.serial}")
    rows = [(one.name, one.display_name, one.serial) for one in listed]
    parts = list(root.root_parts([rows[:2], rows[2:]], reader.serial))
    html = b"".join(part.html for part in parts)
    problems = markup_problems(html, anchors=len(listed), serial=None)
    require(not problems, f"the root page holds {problems}")
    shown = [(f"/simple/{one.name}/", one.display_name) for one in listed]
    require(read_root_html(html) == shown, f"the root page lists {read_root_html(html)}")
    names = read_root_json(b"".join(part.json for part in parts))
    require(names == [one.display_name for one in listed], f"the root list has {names}")
    return True


def configuration(data: bytes) -> bool:
    """A configuration file."""
    try:
        settings = parse(data.decode("utf-8-sig", "replace"), Path("/etc/mirrorsync/mirrorsync.toml"), {})
    except BadConfig:
        return False
    require(settings.mirror.directory.is_absolute(), f"directory {settings.mirror.directory}")
    return True


def file(data: bytes) -> bool:
    """A file's name, URL and page URL, separated by line feeds, and its store path."""
    name, _, rest = data.decode("utf-8", "surrogateescape").partition("\n")
    url = rest.replace("NAME", name)
    wire = WireFile(filename=name, url=url, hashes=WireHashes(seeds.SHA256))
    try:
        decoded = decode_file(wire, seeds.PAGE_URL)
    except Unfit as refusal:
        require_message(refusal)
        return False
    _check_file(decoded, name)
    return True


def _check_file(decoded: DistFile, name: str) -> None:
    path = layout.file_path(decoded.place, decoded.filename)
    require_confined(path)
    require(path.endswith(f"/{name}") and decoded.filename == name, f"{name!r} became {path!r}")
    require(layout.parse_file_path(path) == (decoded.place, name), f"{path!r} does not read back")
    require(decoded.url.startswith(("http://", "https://")), f"URL {decoded.url!r}")
    require("@" not in decoded.url.split("/")[2], f"credentials in {decoded.url!r}")
    if layout.has_storable_sidecar(name):
        require_confined(layout.sidecar_path(decoded.place, name))
    link = layout.relative_link(decoded)
    require(link.isascii() and link.isprintable() and link.startswith("../../packages/"), f"link {link!r}")


def names(data: bytes) -> bool:
    """Project names, segments and stored paths."""
    text = data.decode("utf-8", "replace")
    taken = False
    try:
        name = project_name(text)
        taken = True
        require(name == project_name(name) and name.isascii(), f"{name!r} is not normal")
        require_confined(layout.page_paths(name).json)
    except Malformed as refusal:
        require_message(refusal)
    for segments in (text.split("/"), ["packages", text]):
        try:
            require_confined(store_path(*segments))
        except Malformed as refusal:
            require_message(refusal)
    try:
        _, filename = layout.parse_file_path(text)
        require(is_segment(filename), f"{filename!r}")
    except Malformed as refusal:
        require_message(refusal)
    return taken


def web(data: bytes) -> bool:
    """A client's request: path, Accept, query and conditions, separated by line feeds."""
    lines = [*data.split(b"\n"), b"", b"", b"", b"", b""]
    routed = route(lines[0])
    match routed:
        case Redirect(location=location):
            require(location.startswith("/") and not location.startswith("//"), f"leads to {location!r}")
            require(location.isascii() and location.isprintable(), f"leads to {location!r}")
        case Page(directory=directory):
            require_confined(directory)
        case File(path=path):
            require_confined(path)
            if _is_ours(path):
                _check_headers(path)
        case _:
            pass
    text = [line.decode("latin-1") for line in lines[1:6]]
    choose(text[0], text[1])
    names = (b"range", b"if-modified-since", b"if-none-match", b"if-range")
    _check_conditions(effective_headers("GET", zip(names, [*lines[3:6], lines[4]], strict=True)))
    for excerpt in serial_excerpts(store_path("simple", "a", "index.v1_json")):
        find_serial(excerpt, data)
    return isinstance(routed, Page | File)


def _check_conditions(headers: dict[str, str]) -> None:
    """Refuse headers that starlette would answer with an error, or with bytes that the file does not have."""
    validators = Headers({"etag": '"abc-1"', "last-modified": "Tue, 14 Nov 2023 22:13:20 GMT"})
    StaticFiles().is_not_modified(validators, Headers(headers))
    if "range" in headers:
        with suppress(RangeNotSatisfiable):
            for start, end in FileResponse._parse_range_header(headers["range"], 1000):
                require(0 <= start < end <= 1000, f"range {start} to {end}")


def _is_ours(path: str) -> bool:
    """Return whether the mirror can create this path; headers never refer to other paths."""
    try:
        return bool(layout.parse_file_path(path))
    except Malformed:
        return False


def _check_headers(path: str) -> None:
    confined = store_path(*path.split("/"))
    values = [*object_headers(confined).values(), entity_tag(confined, modified_ns=1, size=1)]
    for value in values:
        require("\r" not in value and "\n" not in value and "\x00" not in value, f"header {value!r}")


def addresses(data: bytes) -> bool:
    """URLs from upstream or the operator: of files, redirects, indexes and file hosts."""
    text = data.decode("utf-8", "replace")
    gate = AllowedUrls(index_hosts=frozenset({"index.test"}), file_hosts=frozenset({"files.test"}), allow_http=True)
    taken = 0
    _check_parsers_agree(text)
    visits: tuple[tuple[Callable[[], Url], frozenset[str]], ...] = (
        (lambda: gate.file(text), gate.file_hosts),
        (lambda: gate.file_redirect(seeds.FILE_URL, text), gate.file_hosts),
        (lambda: gate.page_redirect(seeds.INDEX_URL, text), gate.index_hosts),
    )
    for visit, hosts in visits:
        try:
            url = visit()
        except (Refused, Malformed) as refusal:
            require_message(refusal)
        else:
            taken += 1
            require(authority(url) in hosts and url.raw_host.decode() in hosts, f"{text!r} leads to {url!r}")
            require(not getattr(url, "userinfo", b"") and url.scheme in ("http", "https"), f"{text!r} leads to {url!r}")
    for read in (address.resolve, address.host_of):
        with suppress(BadConfig):
            read(text)
    seconds = retry_after(text, longest=86_400.0)
    require(seconds is None or 0 <= seconds <= 86_400.0, f"{seconds} s")
    return taken > 0


def _check_parsers_agree(text: str) -> None:
    """Compare the fast parser of plain URLs with httpx's: a difference could bypass the URL check."""
    try:
        quick, slow = parse_url(text), httpx.URL(text)
    except (UrlError, httpx.InvalidURL):
        return
    require(
        (quick.scheme, quick.raw_host, quick.port, quick.raw_path)
        == (slow.scheme, slow.raw_host, slow.port, slow.raw_path),
        f"{text!r} is {quick!r} to one parser and {slow!r} to the other",
    )


def response(data: bytes) -> bool:
    """An HTTP/1.1 response, in pieces whose size is the first byte."""
    step = 1 + (data[0] if data else 0)
    parser = ResponseParser()
    try:
        for at in range(0, len(data), step):
            parser.feed(data[at : at + step])
        parser.feed_end()
    except RemoteProtocolError as refusal:
        require_message(refusal)
        return False
    (came,) = parser.responses
    require(came.is_complete and came.has_head, "an end without a head")
    require(sum(map(len, came.buffer)) <= len(data), "more body than came")
    for name, value in came.headers.items():
        require(b"\n" not in name + value and b"\r" not in name + value and b"\0" not in value, f"{name!r}: {value!r}")
    return True


def coding(data: bytes) -> bool:
    """Gzip, in pieces whose size is the first byte."""
    step = 1 + (data[0] if data else 0)
    inflater = Inflater("body", coding="gzip", limit=_BODY_MAX)
    size = 0
    try:
        for at in range(0, len(data), step):
            size += sum(map(len, inflater.feed(data[at : at + step])))
            require(size <= _BODY_MAX, f"{size:,} bytes came out")
        inflater.end()
    except Malformed as refusal:
        require_message(refusal)
        return False
    return True


def release_data(data: bytes) -> bool:
    """The legacy JSON document."""
    try:
        extras.check_legacy("the document", data, ProjectName("holy-grail"))
    except Malformed as refusal:
        require_message(refusal)
        return False
    return True


TARGETS: Final[Sequence[Target]] = (
    Target("page", page, seeds.PAGE),
    Target("journal", journal, seeds.JOURNAL),
    Target("root", root_list, seeds.ROOT),
    Target("config", configuration, seeds.CONFIGURATION),
    Target("file", file, seeds.FILE),
    Target("names", names, seeds.NAMES),
    Target("web", web, seeds.WEB),
    Target("addresses", addresses, seeds.ADDRESSES),
    Target("http", response, seeds.HTTP),
    Target("gzip", coding, seeds.GZIP),
    Target("legacy", release_data, seeds.LEGACY),
)
