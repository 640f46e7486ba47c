"""Certificates for peers on the loopback address, made by openssl: good ones, and one of each flaw."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Final, Literal

MISSING: Final = "" if shutil.which("openssl") else "needs openssl 3: apt-get install openssl"

Flaw = Literal["good", "wrong_name", "expired", "unknown_authority"]
_NAMES: Final = "DNS:peer.test,IP:127.0.0.1,IP:::1"


class Certificates:
    """An authority, its certificates, and those of another authority, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for authority in ("authority", "stranger"):
            ca = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
            self._run("req", *_new(authority), "-x509", "-days", "7", "-out", f"{authority}.pem", *ca)
        self._sign("good", _NAMES)
        self._sign("wrong_name", "DNS:other.test,IP:127.0.0.9")
        self._sign("expired", _NAMES, days=-1)
        self._sign("unknown_authority", _NAMES, authority="stranger")

    def client(self) -> ssl.SSLContext:
        """Return a context that trusts this authority only."""
        return ssl.create_default_context(cafile=self._directory / "authority.pem")

    def server(self, flaw: Flaw = "good") -> ssl.SSLContext:
        """Return a server's context whose certificate has `flaw`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._directory / f"{flaw}.pem", self._directory / f"{flaw}.key")
        return context

    def _sign(self, name: str, names: str, *, days: int = 7, authority: str = "authority") -> None:
        self._run("req", *_new(name), "-out", "request", "-addext", f"subjectAltName={names}")
        signer = ("-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", str(days))
        self._run("x509", "-req", "-in", "request", *signer, "-copy_extensions", "copy", "-out", f"{name}.pem")

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self._directory, check=True, capture_output=True)


def _new(name: str) -> tuple[str, ...]:
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    return (*key, "-subj", f"/CN={name}", "-keyout", f"{name}.key")
