"""A resolver for the world folder, over UDP and TCP (RFC 1035, RFC 7766, RFC 6891).

Every domain of the folder has TXT records at `<selector>._domainkey.<domain>` and `<selector>._domainkey.pw.<domain>`,
and the address 127.0.0.1 at `<domain>`, `nlweb.<domain>` and `pw.<domain>`. A query with AD or DO gets AD back if the
domain is `secure`, as from a validating resolver (RFC 6840 §5.7-5.8), and one with DO the records' signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from emulators.dns_signatures import Signatures
from emulators.dynamic_updates import DynamicUpdates, is_update
from emulators.world import World

if TYPE_CHECKING:
    from emulators.world import DomainRecord

ADDRESS = "127.0.0.1"
"""Of every name of the emulated internet that has one."""

_EDNS_BYTES = 1232
_PLAIN_UDP_BYTES = 512
_TCP_BYTES = 65_535
_MOST_STRING_BYTES = 255
_HEADER_BYTES = 12
_IDLE_SECONDS = 30.0
_NEGATIVE_TTL_SECONDS = 5
"""Short, because a test may bring a domain into being a moment after it was asked for."""

_BOGUS = dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS)

Records: TypeAlias = dict[str, dict[dns.rdatatype.RdataType, dns.rrset.RRset]]
"""Existing names below a domain (relative, "" is the domain itself) and their records by type."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and how long to hold it back."""

    message: dns.message.Message
    delay_seconds: float = 0.0


class WorldResolver:
    """Answers queries from the world folder."""

    def __init__(self, world: World, updates: DynamicUpdates | None = None) -> None:
        self._world = world
        self._updates = updates
        self._signatures = Signatures()

    def answer(self, wire: bytes) -> Reply | None:
        """The answer to one query; None for bytes that are no query at all."""
        if self._updates is not None and is_update(wire):
            return Reply(self._updates.answer(wire))
        return self._look_up(wire)

    def _look_up(self, wire: bytes) -> Reply | None:
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return _format_error(wire)
        if query.flags & dns.flags.QR:
            return None
        reply = dns.message.make_response(query, recursion_available=True, our_payload=_EDNS_BYTES)
        if query.edns >= 0 and query.ednsflags & dns.flags.DO:
            reply.use_edns(0, dns.flags.DO, _EDNS_BYTES)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            reply.set_rcode(dns.rcode.NOTIMP)
            return Reply(reply)
        question = query.question[0]
        domain = self._world.enclosing(question.name.to_text(omit_final_dot=True))
        if domain is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            reply.authority.append(_soa(dns.name.root))
            return Reply(reply)
        checked = not query.flags & dns.flags.CD
        if domain.servfail or (domain.bogus and checked):
            reply.set_rcode(dns.rcode.SERVFAIL)
            if domain.bogus:
                reply.use_edns(0, reply.ednsflags, _EDNS_BYTES, options=[_BOGUS])
            return Reply(reply, domain.delay_seconds)
        if domain.secure and not domain.bogus and (query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO):
            reply.flags |= dns.flags.AD
        self._fill(reply, question, domain)
        return Reply(reply, domain.delay_seconds)

    def _fill(self, reply: dns.message.Message, question: dns.rrset.RRset, domain: DomainRecord) -> None:
        apex = dns.name.from_text(domain.name)
        if domain.secure and question.rdtype == dns.rdatatype.DNSKEY and question.name == apex:
            reply.answer.append(self._signatures.dnskey(apex, domain.ttl_seconds))
        else:
            _fill(reply, question, domain)
        if domain.secure and reply.ednsflags & dns.flags.DO:
            for section in (reply.answer, reply.authority):
                section += [self._signatures.of(rrset, apex) for rrset in section]


def _fill(reply: dns.message.Message, question: dns.rrset.RRset, domain: DomainRecord) -> None:
    apex = dns.name.from_text(domain.name)
    # Names compare without regard to case, but the answer repeats the question's spelling (as 0x20 clients want).
    owner = question.name
    name = owner.relativize(apex).to_text().lower()
    records = _records(domain, owner).get("" if name == "@" else name)
    if records is not None and question.rdtype in records:
        reply.answer.append(records[question.rdtype])
        return
    if records is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    reply.authority.append(_soa(apex))


def _records(domain: DomainRecord, owner: dns.name.Name) -> Records:
    ttl = domain.ttl_seconds
    address = dns.rrset.from_text(owner, ttl, dns.rdataclass.IN, dns.rdatatype.A, ADDRESS)
    found: Records = {name: {dns.rdatatype.A: address} for name in ("", "nlweb", "pw")}
    found[""] = found[""] | {dns.rdatatype.SOA: _soa(owner)}
    for branch in ("_domainkey", "_domainkey.pw"):
        found[branch] = {}  # it has names below it, so it exists without records (RFC 8020)
        for selector, txt in domain.keys.items():
            parent = selector
            while "." in parent:
                parent = parent.partition(".")[2]
                found.setdefault(f"{parent}.{branch}", {})
            found[f"{selector}.{branch}"] = {dns.rdatatype.TXT: _txt(owner, ttl, txt)}
    for relative, txt in domain.txt.items():
        found[relative] = found.get(relative, {}) | {dns.rdatatype.TXT: _txt(owner, ttl, txt)}
    return found


def _txt(owner: dns.name.Name, ttl: int, txt: str) -> dns.rrset.RRset:
    content = txt.encode()
    strings = [content[at : at + _MOST_STRING_BYTES] for at in range(0, len(content), _MOST_STRING_BYTES)] or [b""]
    return dns.rrset.from_rdata(owner, ttl, TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings))


def _soa(apex: dns.name.Name) -> dns.rrset.RRset:
    content = f"ns.invalid. hostmaster.invalid. 1 3600 600 86400 {_NEGATIVE_TTL_SECONDS}"
    return dns.rrset.from_text(apex, _NEGATIVE_TTL_SECONDS, dns.rdataclass.IN, dns.rdatatype.SOA, content)


def _format_error(wire: bytes) -> Reply | None:
    """FORMERR with the query's id; None if there is no header of a query to answer to."""
    if len(wire) < _HEADER_BYTES or wire[2] & 0x80:
        return None
    reply = dns.message.Message(id=int.from_bytes(wire[:2], "big"))
    reply.flags = dns.flags.QR | dns.flags.RA
    reply.set_rcode(dns.rcode.FORMERR)
    return Reply(reply)


def datagram(reply: dns.message.Message, wire: bytes) -> bytes:
    """`reply` within the size that the query `wire` allows, else an empty answer with TC: ask again over TCP."""
    try:
        query = dns.message.from_wire(wire)
        most = max(query.payload, _PLAIN_UDP_BYTES) if query.edns >= 0 else _PLAIN_UDP_BYTES
    except dns.exception.DNSException:
        most = _PLAIN_UDP_BYTES
    content = reply.to_wire(max_size=_TCP_BYTES)
    if len(content) <= most:
        return content
    reply.flags |= dns.flags.TC
    reply.answer.clear()
    reply.authority.clear()
    return reply.to_wire()


class UdpResolver(asyncio.DatagramProtocol):
    """The UDP side: a task for each query, so that a slow domain delays nobody else."""

    def __init__(self, resolver: WorldResolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed: BaseTransport
        """Called by asyncio once, before the first datagram."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called by asyncio for each datagram."""
        reply = self._resolver.answer(data)
        if reply is None:
            return
        content = datagram(reply.message, data)
        if not reply.delay_seconds:
            self._send(content, addr)
            return
        task = asyncio.get_running_loop().create_task(self._send_later(content, addr, reply.delay_seconds))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_later(self, content: bytes, addr: tuple[str, int], delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        self._send(content, addr)

    def _send(self, content: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(content, addr)


async def serve_connection(resolver: WorldResolver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The TCP side: queries with a length before them, until the client is silent or gone."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        while True:
            async with asyncio.timeout(_IDLE_SECONDS):
                (length,) = struct.unpack(">H", await reader.readexactly(2))
                wire = await reader.readexactly(length)
            reply = resolver.answer(wire)
            if reply is None:
                break
            await asyncio.sleep(reply.delay_seconds)
            content = reply.message.to_wire(max_size=_TCP_BYTES)
            writer.write(struct.pack(">H", len(content)) + content)
            await writer.drain()
    writer.close()


async def serve(world: World, host: str, port: int, updates: DynamicUpdates | None = None) -> None:
    """Resolve until SIGTERM or SIGINT; UDP and TCP share the port."""
    resolver = WorldResolver(world, updates)
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(
        lambda reader, writer: serve_connection(resolver, reader, writer), host, port, family=socket.AF_INET
    )
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: UdpResolver(resolver), (host, port))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    click.echo(f"dns: ready on {host}:{port}")
    await stop.wait()
    transport.close()
    server.close()


@click.command()
@click.option("--world", required=True, type=click.Path(file_okay=False, path_type=Path), help="The world folder.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free one")
@click.option("--update-key", metavar="NAME:BASE64", help="Take dynamic updates signed with this TSIG key.")
def main(world: Path, host: str, port: int, update_key: str | None) -> None:
    """Resolve the names of a world folder."""
    names = World(world)
    updates = DynamicUpdates(world, names, update_key) if update_key else None
    try:
        asyncio.run(serve(names, host, port, updates))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error}") from None


if __name__ == "__main__":
    main()
