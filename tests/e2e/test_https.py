"""HTTPS with a certificate of one's own, directly and through a proxy that tunnels, all through `lakon run`."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_study import ONE, asked_study, clean_environment
from faults import FaultServer

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for the loopback, its key beside it."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "cert.pem"


@pytest.fixture
def server(certificate: Path) -> Iterator[FaultServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FaultServer(tls=tls) as running:
        yield running


def run(folder: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A study of two problems against `url`, in a process that trusts what its environment says."""
    endpoint = f'endpoints.one = {{ url = "{url}" }}'
    asked_study(folder, ONE.format(extra="", cap=99), endpoint, [("4", "4"), ("5", "5")])
    clean = {name: value for name, value in clean_environment().items() if name.lower() not in PROXIES}
    return subprocess.run(
        [sys.executable, "-m", "lakon", "run", "s.toml", "-q"],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_certificate_must_be_trusted_and_then_serves(server: FaultServer, certificate: Path, tmp_path: Path):
    refused = run(tmp_path, server.url)
    assert refused.returncode == 1, refused.stdout
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    assert "SSL_CERT_FILE" in refused.stderr, "what to do about it"
    assert not server.seen
    done = run(tmp_path, server.url, SSL_CERT_FILE=str(certificate))
    assert done.returncode == 0, done.stderr
    assert "100.0%" in done.stdout
    assert len(server.seen) == 2


def test_https_goes_through_the_proxy_of_the_environment(server: FaultServer, certificate: Path, tmp_path: Path):
    with tunnelling() as (proxy, asked):
        done = run(tmp_path, server.url, SSL_CERT_FILE=str(certificate), https_proxy=proxy)
        assert done.returncode == 0, done.stderr
        assert len(server.seen) == 2
        assert asked
        assert all(line.startswith(f"CONNECT 127.0.0.1:{server.port} ") for line in asked)


@contextmanager
def tunnelling() -> Iterator[tuple[str, list[str]]]:
    """A proxy that only knows CONNECT; its URL, and the first lines of what it was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[str] = []
    opened: list[socket.socket] = [listener]

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            asked.append(head.split(b"\r\n")[0].decode())
            host, _, port = asked[-1].split()[1].partition(":")
            upstream = socket.create_connection((host, int(port)))
            opened.extend((client, upstream))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for source, sink in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=(source, sink), daemon=True).start()

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # closing alone would leave `accept` waiting
        server.join(10)
        for each in opened:
            each.close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes from one to the other until either is gone."""
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
