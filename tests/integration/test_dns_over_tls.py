"""DNS over TLS against unbound's own service: who is believed, one connection for all, and what breaks it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emulators.certificates import issue_certificate, make_authority
from shared.resolver import Answer, ValidatingResolver
from tests.support.real_dns import LONG_TEXT_BYTES, RealDns, real_dns
from tests.unit.services.inbox.messages import RECORD

NAME = "resolver.test"
KEY = "pw1._domainkey.signed.example"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Path:
    make_authority(folder)
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def internet(folder: Path, authority: Path) -> Iterator[RealDns]:
    files = folder / "resolver.pem", folder / "resolver-key.pem"
    for file, contents in zip(files, issue_certificate(authority.parent, [NAME, "127.0.0.1"]), strict=True):
        file.write_bytes(contents)
    with real_dns(folder, RECORD, tls=files) as started:
        yield started


@dataclass
class Wire:
    """A forwarder of connections, which counts them, can break them, and can fall silent."""

    address: str = ""
    connections: int = 0
    silent: bool = False
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> None:
        """End every connection."""
        for writer in self.writers:
            writer.close()


@asynccontextmanager
async def wire_to(upstream: str) -> AsyncIterator[Wire]:
    wire, (host, _, port) = Wire(), upstream.rpartition(":")
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if not wire.silent:
                    writer.write(data)
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire.connections += 1
        there, back = await asyncio.open_connection(host, int(port))
        wire.writers += [writer, back]
        for work in (pump(reader, back), pump(there, writer)):
            tasks.add(asyncio.create_task(work))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    wire.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def asking(address: str, authority: Path | None, name: str = NAME, seconds: float = 5.0) -> AsyncIterator[
    ValidatingResolver
]:  # fmt: skip
    resolver = ValidatingResolver(f"tls://{address}#{name}", seconds, authority=authority)
    try:
        yield resolver
    finally:
        await resolver.close()


@pytest.mark.parametrize("name", [NAME, "127.0.0.1"])
async def test_a_resolver_whose_certificate_has_its_name_is_asked_over_tls(
    internet: RealDns, authority: Path, name: str
) -> None:
    async with asking(internet.unbound.tls_address, authority, name) as resolver:
        found = await resolver.look_up(KEY)
        assert (found.answer, found.records) == (Answer.SECURE, (RECORD,))
        assert (await resolver.look_up("pw1._domainkey.bogus.example")).answer is Answer.BOGUS
        assert (await resolver.look_up("pw1._domainkey.unsigned.example")).answer is Answer.INSECURE
        (long,) = (await resolver.look_up("long._domainkey.signed.example")).records
        assert len(long) == len(RECORD) + 3 + LONG_TEXT_BYTES


@pytest.mark.parametrize(
    ("name", "known"), [("other.test", True), (NAME, False)], ids=["another name", "an authority that nobody knows"]
)
async def test_a_certificate_that_proves_nothing_gives_no_answer_and_says_why(
    internet: RealDns, authority: Path, name: str, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(internet.unbound.tls_address, authority if known else None, name) as resolver:
        assert [(await resolver.look_up(KEY)).answer for _ in range(2)] == [Answer.UNDECIDED] * 2
    (said,) = [record for record in caplog.records if record.name == "shared.dns_over_tls"]
    assert "certificate verify failed" in said.__dict__["why"]


async def test_a_resolver_that_speaks_no_tls_there_is_undecided(internet: RealDns, authority: Path) -> None:
    async with asking(internet.unbound.address, authority, seconds=1.0) as resolver:
        assert (await resolver.look_up(KEY)).answer is Answer.UNDECIDED


async def test_a_hundred_questions_at_once_and_twenty_after_them_share_one_connection(
    internet: RealDns, authority: Path
) -> None:
    names = [
        KEY,
        "pw1._domainkey.pw.signed.example",
        "pw1._domainkey.unsigned.example",
        "pw7._domainkey.signed.example",
    ]
    expected = [Answer.SECURE, Answer.SECURE, Answer.INSECURE, Answer.ABSENT]
    async with wire_to(internet.unbound.tls_address) as wire, asking(wire.address, authority) as resolver:
        found = await asyncio.gather(*(resolver.look_up(name) for name in names * 25))
        found += [await resolver.look_up(name) for name in names * 5]
        assert [one.answer for one in found] == expected * 30
        assert wire.connections == 1


async def test_a_slow_name_holds_up_no_other_on_the_same_connection(internet: RealDns, authority: Path) -> None:
    async with wire_to(internet.unbound.tls_address) as wire, asking(wire.address, authority, seconds=2.0) as resolver:
        await resolver.look_up(KEY)
        slow = asyncio.create_task(resolver.look_up("pw1._domainkey.slow.example"))
        await asyncio.sleep(0.05)
        assert (await resolver.look_up(KEY)).answer is Answer.SECURE
        assert not slow.done()
        assert (await slow).answer is Answer.UNDECIDED
        assert (await resolver.look_up(KEY)).answer is Answer.SECURE
        assert wire.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_made_anew_without_a_failure(
    internet: RealDns, authority: Path
) -> None:
    async with wire_to(internet.unbound.tls_address) as wire, asking(wire.address, authority) as resolver:
        for number in range(1, 4):
            assert (await resolver.look_up(KEY)).answer is Answer.SECURE
            assert wire.connections == number
            wire.cut()


async def test_a_connection_that_has_died_without_a_word_costs_one_time_out(internet: RealDns, authority: Path) -> None:
    async with wire_to(internet.unbound.tls_address) as wire, asking(wire.address, authority, seconds=2.0) as resolver:
        assert (await resolver.look_up(KEY)).answer is Answer.SECURE
        wire.silent = True
        assert (await resolver.look_up(KEY)).answer is Answer.UNDECIDED
        wire.silent = False
        assert (await resolver.look_up(KEY)).answer is Answer.SECURE
        assert wire.connections == 2
