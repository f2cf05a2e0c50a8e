"""A relay between a resolver and a server, or a client and a resolver: it counts, keeps silent, and changes answers."""

import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rdatatype


class DnsRelay:
    """Hands UDP and TCP questions on to ``upstream`` (address:port).

    ``silent`` says of which questions nothing is ever heard; ``change`` may change an answer. ``asked`` counts them by
    name and type.
    """

    def __init__(self, upstream: str) -> None:
        self._host, _, port = upstream.rpartition(":")
        self._port = int(port)
        self.silent: Callable[[str, str], bool] = lambda _name, _kind: False
        self.change: Callable[[dns.message.Message], None] = lambda _answer: None
        self.asked: Counter[tuple[str, str]] = Counter()
        self.address = ""

    def answer(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """Return the answer to one question, or None for silence."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if self.silent(name, kind):
            return None
        ask = dns.query.tcp if tcp else dns.query.udp
        try:
            answer = ask(query, self._host, port=self._port, timeout=5)
        except (dns.exception.DNSException, OSError):
            return None
        self.change(answer)
        return answer.to_wire(max_size=65535)


class _Server(socketserver.ThreadingMixIn):
    daemon_threads = True
    allow_reuse_address = True
    relay: DnsRelay


class _UdpServer(_Server, socketserver.UDPServer):
    pass


class _TcpServer(_Server, socketserver.TCPServer):
    pass


class _Udp(socketserver.BaseRequestHandler):
    server: _UdpServer

    def handle(self) -> None:
        wire, sock = self.request
        if (answer := self.server.relay.answer(wire, tcp=False)) is not None:
            sock.sendto(answer, self.client_address)


class _Tcp(socketserver.StreamRequestHandler):
    server: _TcpServer

    def handle(self) -> None:
        with suppress(OSError):
            while len(head := self.rfile.read(2)) == 2:
                answer = self.server.relay.answer(self.rfile.read(int.from_bytes(head, "big")), tcp=True)
                if answer is None:
                    return
                self.wfile.write(len(answer).to_bytes(2, "big") + answer)


@contextmanager
def relaying(upstream: str) -> Iterator[DnsRelay]:
    """Run a relay on a free port of the loopback."""
    relay = DnsRelay(upstream)
    udp, tcp = _bound()
    servers: list[Any] = [udp, tcp]
    relay.address = f"127.0.0.1:{udp.server_address[1]}"
    threads = []
    for server in servers:
        server.relay = relay
        threads.append(threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True))
        threads[-1].start()
    try:
        yield relay
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join(5)


def _bound() -> tuple[_UdpServer, _TcpServer]:
    """Both on one port: what is free for UDP may be taken for TCP."""
    while True:
        udp = _UdpServer(("127.0.0.1", 0), _Udp)
        try:
            return udp, _TcpServer(udp.server_address, _Tcp)
        except OSError:
            udp.server_close()


def silent_address() -> tuple[str, socket.socket]:
    """Return the address of a socket that takes datagrams and never answers; close it at the end."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{sock.getsockname()[1]}", sock
