"""Bad records on every topic that we read: partitions go on, dead letters keep the exact bytes (rule 4)."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from bench.load import SUCCESS, Load
from cli.peers import Peers
from services.async_post.delayer import TOPICS as DELAY_TOPICS
from shared.dead_letters import PREFIX
from shared.events import (
    INBOX_ACCEPTED_TOPIC,
    INBOX_ACCEPTED_TYPE,
    CaptureCompleted,
    DeadlinePassed,
    PostRequested,
    PostSigned,
    VerificationRequested,
)
from shared.topics import DEAD_THEIRS
from tests.e2e.conftest import Running

READ = {
    INBOX_ACCEPTED_TOPIC: INBOX_ACCEPTED_TYPE,
    **{
        event.topic: event.type
        for event in (VerificationRequested, CaptureCompleted, DeadlinePassed, PostRequested, PostSigned)
    },
}


@dataclass(frozen=True)
class Bad:
    """A record that no reader can handle."""

    topic: str
    what: str
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def key(self) -> bytes:
        return f"bad {self.what}".encode()


def _attributes(kind: str) -> tuple[tuple[str, bytes | None], ...]:
    names = {"specversion": "1.0", "id": str(uuid4()), "source": "//elsewhere.example", "type": kind}
    return tuple((f"ce_{name}", text.encode()) for name, text in names.items())


def _bad_records() -> list[Bad]:
    records = []
    for topic, kind in READ.items():
        nothing = ("x-null", None)
        records += [
            Bad(topic, "garbage", b"\x00\xff\xfe garbage", ()),
            Bad(topic, "null header", b"{}", (nothing,)),
            Bad(topic, "header no UTF-8", b"{}", (("ce_id", b"\xff\xfe"), ("ce_specversion", b"1.0"))),
            Bad(topic, "undecodable body", b"{ no json", (*_attributes(kind), nothing)),
            Bad(topic, "unknown version", b"{}", _attributes(kind.replace(".v1", ".v99"))),
            Bad(topic, "tombstone", None, _attributes(kind)),
        ]
    topic = next(iter(DELAY_TOPICS))
    return [*records, Bad(topic, "no delayed record", b"\x00what", (("x-null", None),))]


def test_a_bad_record_on_any_topic_is_put_aside_whole_and_delays_nobody(running: Running) -> None:
    """Every bad record is in the dead letters with its key, bytes, headers and a reason; verifications go on."""

    async def work(load: Load, _peers: Peers) -> None:
        await load.enrol((SUCCESS,))
        bad = _bad_records()
        async with (
            AIOKafkaConsumer(DEAD_THEIRS, bootstrap_servers=running.demo.kafka) as dead,
            AIOKafkaProducer(bootstrap_servers=running.demo.kafka, acks="all") as producer,
        ):
            await dead.seek_to_end()
            for record in bad:
                await producer.send_and_wait(record.topic, record.value, key=record.key, headers=list(record.headers))
            verified = await load.run(5, 5)
            found = await _dead_letters(dead, len(bad))
        assert [one.results for one in verified] == [["SUCCESS"]] * 5
        for record in bad:
            (letter,) = (one for one in found if _origin(one) == record.topic and one.key == record.key)
            original = tuple((name, value) for name, value in letter.headers if not name.startswith(PREFIX))
            assert (letter.value, original) == (record.value, record.headers), record
            (reason,) = (value for name, value in letter.headers if name == f"{PREFIX}reason")
            assert reason, record

    running.drive(work)


def _origin(letter: ConsumerRecord[bytes, bytes]) -> str | None:
    return next((value.decode() for name, value in letter.headers if name == f"{PREFIX}topic"), None)


async def _dead_letters(dead: AIOKafkaConsumer, count: int) -> list[ConsumerRecord[bytes, bytes]]:
    found: list[ConsumerRecord[bytes, bytes]] = []
    async with asyncio.timeout(30):
        while sum(1 for one in found if (one.key or b"").startswith(b"bad ")) < count:
            for records in (await dead.getmany(timeout_ms=500)).values():
                found += records
    return found
