"""The section that says where a monitoring system finds its numbers (docs/monitoring/README.md)."""

import re
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from mirrorsync.config.setting import Seconds
from mirrorsync.errors import BadConfig
from mirrorsync.model.units import format_duration

_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):([0-9]{1,5})")
_PORT_MAX: Final = 65535


class MetricsSettings(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """Where a monitoring system finds its numbers."""

    listen: Annotated[
        str | None,
        Meta(
            description="Address of /metrics, /healthz and /readyz while the daemon runs. It asks for no password: "
            "keep it local. Not set: none.",
            examples=["127.0.0.1:9111"],
        ),
    ] = None
    textfile: Annotated[
        Path | None,
        Meta(
            description="File of metrics for node-exporter, written after each publication and once a minute, also by "
            "`sync`. Not set: none.",
            examples=["/var/lib/node_exporter/mirrorsync.prom"],
        ),
    ] = None
    fresh_within: Annotated[
        Seconds,
        Meta(
            description="Lag above which /readyz says that this mirror should not be used; the few projects that fail "
            "by themselves are left out."
        ),
    ] = 3600.0

    def __post_init__(self) -> None:
        """Refuse what is no address, and a file that node-exporter would not read."""
        match = None if self.listen is None else _ADDRESS.fullmatch(self.listen)
        # The C library would take port 99999 for 34463 (modulo 2^16).
        if self.listen is not None and (match is None or int(match[2]) > _PORT_MAX):
            raise BadConfig(
                f"[metrics] listen is {self.listen[:80]!r}",
                why=f"it must be HOST:PORT with a port up to {_PORT_MAX}",
                hint='write it like listen = "127.0.0.1:9111" or "[::1]:9111"',
            )
        if self.textfile is not None and self.textfile.suffix != ".prom":
            raise BadConfig(
                f"[metrics] textfile is {str(self.textfile)[:200]!r}",
                why="node-exporter reads only files whose name ends with .prom",
                hint='write it like textfile = "/var/lib/node_exporter/mirrorsync.prom"',
            )
        if self.fresh_within <= 0:
            raise BadConfig(
                f"[metrics] fresh-within is {format_duration(self.fresh_within)}", hint='write it like "1h"'
            )
