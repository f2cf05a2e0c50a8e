"""A gate before DynamoDB that sees which state of a verification is being written, and tells when it has been."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_TABLE = "verifications"


@dataclass
class StoreGate:
    """``on_written`` is called once after ``state`` was written, and before whoever wrote it has heard so."""

    upstream: str
    url: str = ""
    _waiting: dict[str, Callable[[], None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def once(self, state: str, on_written: Callable[[], None]) -> None:
        """Wait for the next write of ``state``."""
        with self._lock:
            self._waiting[state] = on_written

    def written(self, state: str) -> None:
        """Note a write that was made."""
        with self._lock:
            on_written = self._waiting.pop(state, None)
        if on_written is not None:
            on_written()


class _Door(ThreadingHTTPServer):
    daemon_threads = True
    gate: StoreGate


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Door
    _upstream: http.client.HTTPConnection | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(self.server.gate.upstream.removeprefix("http://"), timeout=60)
        self._upstream.request("POST", self.path, body, dict(self.headers.items()))
        answer = self._upstream.getresponse()
        content = answer.read()
        if answer.status == 200:
            for state in _states(self.headers.get("X-Amz-Target", "").rpartition(".")[2], body):
                self.server.gate.written(state)
        with suppress(OSError):  # who asked may be dead by now
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _states(operation: str, body: bytes) -> list[str]:
    """Return the states of verifications that a call writes."""
    if operation not in ("PutItem", "UpdateItem", "TransactWriteItems"):
        return []
    content = json.loads(body)
    writes = [next(iter(one.values())) for one in content.get("TransactItems", [])] or [content]
    return [state for one in writes if one["TableName"].endswith(_TABLE) and (state := _state(one))]


def _state(write: dict[str, Any]) -> str:
    if "Item" in write:
        return str(write["Item"]["state"]["S"])
    names = write.get("ExpressionAttributeNames", {})
    place = next((name for name, attribute in names.items() if attribute == "state" and name.startswith("#v")), "")
    return str(write["ExpressionAttributeValues"][f":{place[1:]}"]["S"]) if place else ""


@contextmanager
def store_gate(upstream: str) -> Iterator[StoreGate]:
    """Run a gate before the DynamoDB at ``upstream`` (URL)."""
    gate, door = StoreGate(upstream), _Door(("127.0.0.1", 0), _Call)
    door.gate = gate
    gate.url = f"http://127.0.0.1:{door.server_address[1]}"
    threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield gate
    finally:
        door.shutdown()
        door.server_close()
