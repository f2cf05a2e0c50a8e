"""Two inboxes on a real Kafka: copies are handled once, and nothing accepted is lost while parts are killed with -9.

FACESCAN_TEST_COPIES is how many messages are sent ten times each (1,000 in the full run, fewer in the suite);
FACESCAN_TEST_KILLS how many kills there are (30 in the full run).
"""

import asyncio
import os
import signal
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp
import orjson
import pytest

from emulators.envelopes import Generation, public_key_txt, sign
from emulators.world import make_key, write_domain
from shared.events import VerificationRequested, utc_text
from shared.topics import create_topics
from tests.support.readers import all_records
from tests.support.real_kafka import Cluster
from tests.support.service_process import DOMAIN, ServiceProcess, Surroundings, surroundings

pytestmark = pytest.mark.kafka

COPIES = int(os.environ.get("FACESCAN_TEST_COPIES", "50"))
KILLS = int(os.environ.get("FACESCAN_TEST_KILLS", "3"))
PER_SECOND = 25.0
BACK_SECONDS = 10.0
# Or so many times what the first start took, beside nothing but the brokers: the machine may be a slow one.
TIMES_THE_START = 4.0
SENDER = "shop.example"
KEY = make_key()
_FREE = {
    f"FACESCAN_{name}": "100000"
    for name in ("SENDER_RATE", "SENDER_BURST", "ADDRESS_RATE", "ADDRESS_BURST", "UNVERIFIED_RATE", "UNVERIFIED_BURST")
}


def signed() -> bytes:
    fields = {
        "From": SENDER,
        "To": DOMAIN,
        "Correlation": str(uuid.uuid4()),
        "Timestamp": utc_text(datetime.now(UTC)),
        "Subject": "VerifyLocator@Identity",
    }
    return orjson.dumps(sign(fields, {"Locator": "loc-1"}, KEY, "pw1", Generation.NLWEB))


@contextmanager
def two_inboxes(folder: Path, kafka: str) -> Iterator[list[ServiceProcess]]:
    """Start two inboxes that share everything but their ports and names."""
    with surroundings(folder) as around:
        asyncio.run(around.prepare())
        write_domain(around.world, SENDER, {"pw1": public_key_txt(KEY)})
        doors = [_inbox(around, kafka, name, folder) for name in ("a", "b")]
        try:
            for door in doors:
                door.wait_ready()
            yield doors
        finally:
            for door in doors:
                door.__exit__()


def _inbox(around: Surroundings, kafka: str, name: str, folder: Path) -> ServiceProcess:
    named = {"FACESCAN_KAFKA_BOOTSTRAP": kafka, "FACESCAN_INSTANCE": f"{name}-{uuid.uuid4().hex[:6]}"}
    return ServiceProcess("inbox", around.environment() | _FREE | named, folder)


def _url(door: ServiceProcess) -> str:
    return f"http://127.0.0.1:{door.environment['FACESCAN_INBOX_PORT']}/inbox"


async def requested(kafka: str) -> Counter[bytes]:
    """Return how often each verification was asked for."""
    return Counter(record.key for record in await all_records(kafka, VerificationRequested.topic))


async def until_handled(kafka: str, before: set[bytes], count: int, seconds: float) -> Counter[bytes]:
    deadline = time.monotonic() + seconds
    while True:
        found = Counter({key: times for key, times in (await requested(kafka)).items() if key not in before})
        if len(found) >= count or time.monotonic() > deadline:
            return found
        await asyncio.sleep(1)


@pytest.mark.timeout(600)
def test_ten_copies_of_each_message_over_two_doors_and_two_routers_are_handled_once(
    real_kafka: str, tmp_path: Path
) -> None:
    asyncio.run(create_topics(real_kafka))
    with two_inboxes(tmp_path, real_kafka) as doors:

        async def run() -> Counter[bytes]:
            before = set(await requested(real_kafka))
            messages = [signed() for _ in range(COPIES)]
            # Copies far from each other and at both doors at once, so that both routers meet them.
            copies = iter([(copy + index, data) for copy in range(10) for index, data in enumerate(messages)])
            statuses: Counter[int] = Counter()
            async with aiohttp.ClientSession() as http:

                async def post() -> None:
                    for number, data in copies:
                        while True:  # as a sender does: the same message again while it could not be stored
                            async with http.post(_url(doors[number % 2]), data=data) as answer:
                                statuses[answer.status] += 1
                            if answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                                break
                            await asyncio.sleep(0.2)

                # No more tasks than connections: the door closes one that was opened and says nothing for ten seconds.
                await asyncio.gather(*(post() for _ in range(32)))
            assert set(statuses) <= {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}
            assert statuses[HTTPStatus.OK] == COPIES * 10
            found = await until_handled(real_kafka, before, COPIES, 240)
            await _until_read(doors, COPIES * 10)
            return Counter({key: n for key, n in (await requested(real_kafka)).items() if key not in before}) or found

        handled = asyncio.run(run())
        shares = [_routed(door, "routed") for door in doors]
    print(f"{COPIES} messages, {COPIES * 10} copies; routed by each router: {shares}")
    assert len(handled) == COPIES
    assert set(handled.values()) == {1}
    assert all(shares), shares


def _routed(door: ServiceProcess, outcome: str) -> int:
    text = door.ask("/metrics")[1]
    name = f'facescan_inbox_routed_total{{outcome="{outcome}"}} '
    return sum(int(float(line.removeprefix(name))) for line in text.splitlines() if line.startswith(name))


async def _until_read(doors: list[ServiceProcess], count: int) -> None:
    """Wait until every copy has been read by one of the routers."""
    deadline = time.monotonic() + 240
    while sum(_routed(door, outcome) for door in doors for outcome in ("routed", "copy")) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)


@pytest.mark.timeout(900)
def test_what_is_answered_200_is_handled_once_while_inboxes_and_a_broker_are_killed(  # noqa: C901 - one scenario
    kafka_cluster: Cluster, tmp_path: Path
) -> None:
    """Door and router are one process; two of them and one of three brokers are killed in turn, under load."""
    kafka = kafka_cluster.bootstrap
    asyncio.run(create_topics(kafka, replication=3, partitions=6))
    began = time.monotonic()
    with two_inboxes(tmp_path, kafka) as doors:
        most_seconds = max(BACK_SECONDS, TIMES_THE_START * (time.monotonic() - began))
        back: dict[str, list[float]] = {"door": [], "inbox": [], "broker": []}
        accepted: set[str] = set()
        over = asyncio.Event()

        async def send(http: aiohttp.ClientSession) -> None:
            data, number = signed(), 0
            correlation = orjson.loads(data)["Header"]["Correlation"]
            while True:  # as a sender does: the same message again until it is taken
                number += 1
                try:
                    async with http.post(_url(doors[number % 2]), data=data) as answer:
                        if answer.status == 200:
                            accepted.add(correlation)
                            return
                except (aiohttp.ClientError, OSError, TimeoutError):
                    pass
                await asyncio.sleep(0.2)

        async def load() -> None:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
                asyncio.TaskGroup() as group,
            ):
                while not over.is_set():
                    group.create_task(send(http))
                    await asyncio.sleep(1 / PER_SECOND)

        async def disturb() -> None:
            for number in range(KILLS):
                await asyncio.sleep(1.0)
                if number % 3 == 2:
                    back["broker"].append(await asyncio.to_thread(_kill_broker, kafka_cluster, number // 3 % 3))
                else:
                    door, inbox = await asyncio.to_thread(_kill_inbox, doors, number % 3, tmp_path)
                    back["door"].append(door)
                    back["inbox"].append(inbox)
            over.set()

        async def run() -> Counter[bytes]:
            before = set(await requested(kafka))
            loading = asyncio.create_task(load())
            await disturb()
            await loading
            return await until_handled(kafka, before, len(accepted), 60)

        handled = asyncio.run(run())
    repeats = sum(times - 1 for times in handled.values())
    print(
        f"{KILLS} kills, {len(accepted)} answered 200, {len(handled)} handled, {repeats} repeated records; "
        + "; ".join(
            f"{name} back after {', '.join(f'{seconds:.1f}' for seconds in times)} s" for name, times in back.items()
        )
    )
    # A verification's id is made of the message: a repeated record is the same verification and starts no second one.
    assert len(handled) == len(accepted)
    assert max(back["door"], default=0) < most_seconds
    assert max(back["inbox"], default=0) < most_seconds


def _kill_inbox(doors: list[ServiceProcess], index: int, folder: Path) -> tuple[float, float]:
    """Return after how many seconds its door answered again, and it said of the whole inbox that it is ready."""
    old = doors[index]
    old.process.send_signal(signal.SIGKILL)
    old.process.wait(10)
    began = time.monotonic()
    doors[index] = ServiceProcess("inbox", old.environment, folder)  # before it is ready: it must end with the test
    while not _answers(doors[index]):
        assert time.monotonic() < began + 40, doors[index].said()
        time.sleep(0.05)
    door = time.monotonic() - began
    doors[index].wait_ready(120)
    return door, time.monotonic() - began


def _answers(door: ServiceProcess) -> bool:
    try:
        with urllib.request.urlopen(_url(door).replace("/inbox", "/manifest"), timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _kill_broker(cluster: Cluster, number: int) -> float:
    cluster.kill(number)
    time.sleep(2)
    began = time.monotonic()
    cluster.start(number)
    cluster.wait_ready()
    return time.monotonic() - began
