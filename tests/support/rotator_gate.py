"""A gate between a rotator's process and the world, which counts its effects and kills it at one of them."""

import http.client
import signal
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_EFFECTS = ("CreateSecret", "PutSecretValue", "UpdateSecretVersionStage")
_UPDATE = 5  # RFC 2136 §1.3


@dataclass
class Gate:
    """``point`` is where to kill; ``points`` counts each effect twice: before it, and when it is made but unanswered.

    ``seen`` is what was said to the primary. ``aws`` (URL) and ``primary`` (address:port) are where the gate listens.
    """

    aws_upstream: str
    primary_upstream: str
    point: int | None = None
    points: int = 0
    process: subprocess.Popen[str] | None = None
    seen: list[bytes] = field(default_factory=list)
    aws: str = ""
    primary: str = ""

    def passed(self) -> None:
        """Note one point; if it is the one, kill and raise ConnectionAbortedError."""
        self.points += 1
        if self.points - 1 == self.point and self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)
            raise ConnectionAbortedError


class _AwsDoor(ThreadingHTTPServer):
    gate: Gate


class _Aws(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _AwsDoor

    def do_POST(self) -> None:
        gate, body = self.server.gate, self.rfile.read(int(self.headers["Content-Length"]))
        effect = self.headers.get("X-Amz-Target", "").rpartition(".")[2] in _EFFECTS
        with suppress(OSError):
            if effect:
                gate.passed()
            upstream = http.client.HTTPConnection(gate.aws_upstream.removeprefix("http://"), timeout=20)
            upstream.request("POST", self.path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            if effect:
                gate.passed()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _DnsDoor(socketserver.ThreadingTCPServer):
    daemon_threads = True
    gate: Gate


class _Dns(socketserver.StreamRequestHandler):
    server: _DnsDoor

    def handle(self) -> None:
        gate = self.server.gate
        host, _, port = gate.primary_upstream.rpartition(":")
        with suppress(OSError), socket.create_connection((host, int(port)), 5) as upstream:
            back = upstream.makefile("rb")
            while len(head := self.rfile.read(2)) == 2:
                wire = self.rfile.read(int.from_bytes(head, "big"))
                gate.seen.append(wire)
                effect = (wire[2] >> 3) & 0xF == _UPDATE
                if effect:
                    gate.passed()
                upstream.sendall(head + wire)
                length = back.read(2)
                answer = back.read(int.from_bytes(length, "big"))
                if effect:
                    gate.passed()
                self.wfile.write(length + answer)


@contextmanager
def gated(aws_url: str, primary: str) -> Iterator[Gate]:
    """Run the gate's two doors: HTTP to AWS, TCP to the primary."""
    gate = Gate(aws_url, primary)
    aws, zone = _AwsDoor(("127.0.0.1", 0), _Aws), _DnsDoor(("127.0.0.1", 0), _Dns)
    aws.gate = zone.gate = gate
    gate.aws = f"http://127.0.0.1:{aws.server_address[1]}"
    gate.primary = f"127.0.0.1:{zone.server_address[1]}"
    doors: list[Any] = [aws, zone]
    for door in doors:
        threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield gate
    finally:
        for door in doors:
            door.shutdown()
            door.server_close()
