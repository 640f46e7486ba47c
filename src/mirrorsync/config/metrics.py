"""The section [metrics]: where a monitoring system reads metrics (docs/monitoring/README.md)."""

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
    """Where a monitoring system reads metrics."""

    listen: Annotated[
        str | None,
        Meta(
            description="Address of the daemon's /metrics, /healthz and /readyz. It has no authentication, so keep it "
            "local. Not set: no listener.",
            examples=["127.0.0.1:9111"],
        ),
    ] = None
    textfile: Annotated[
        Path | None,
        Meta(
            description="File with metrics for node-exporter, written after each publication and once a minute, also "
            "by `sync`. Not set: no file.",
            examples=["/var/lib/node_exporter/mirrorsync.prom"],
        ),
    ] = None
    fresh_within: Annotated[
        Seconds,
        Meta(
            description="Lag above which /readyz reports that this mirror should not be used. A few failing projects "
            "do not count."
        ),
    ] = 3600.0

    def __post_init__(self) -> None:
        """Refuse an invalid address, and a file name that node-exporter does not read."""
        match = None if self.listen is None else _ADDRESS.fullmatch(self.listen)
        # The C library reads port 99999 as 34463 (modulo 2^16).
        if self.listen is not None and (match is None or int(match[2]) > _PORT_MAX):
            raise BadConfig(
                f"[metrics] listen is {self.listen[:80]!r}",
                why=f"it must be HOST:PORT with a port up to {_PORT_MAX}",
                hint='for example listen = "127.0.0.1:9111" or "[::1]:9111"',
            )
        if self.textfile is not None and self.textfile.suffix != ".prom":
            raise BadConfig(
                f"[metrics] textfile is {str(self.textfile)[:200]!r}",
                why="node-exporter reads only files with names that end in .prom",
                hint='for example textfile = "/var/lib/node_exporter/mirrorsync.prom"',
            )
        if self.fresh_within <= 0:
            raise BadConfig(
                f"[metrics] fresh-within is {format_duration(self.fresh_within)}",
                why="it must be more than 0s",
                hint='for example fresh-within = "1h"',
            )
