"""Each service as a process of its own: it gets ready, handles its events, tells its operator, and ends in order."""

import asyncio
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from emulators.envelopes import Generation, public_key_txt, sign, verify
from emulators.world import make_key, write_domain
from shared.broker import Publisher
from shared.cloudevents import CloudEventError, parse_record
from shared.events import (
    BY_TYPE,
    DeadlinePassed,
    EventData,
    Outcome,
    PostRequested,
    PostSettled,
    VerdictReached,
    VerificationRequested,
    derived_id,
    utc_text,
)
from shared.people import People, Person
from shared.settings import KafkaSettings
from shared.verification import LegalPhoto, State, Verification
from shared.verifications import Verifications
from tests.service.conftest import System
from tests.support.readers import Writer, all_records, until, until_async
from tests.support.service_process import DOMAIN, SERVICES, ServiceProcess, Surroundings
from tests.support.trace_collector import Seen

SENDER = "shop.example"
WALLET = "wallet.example"
KEY = make_key()


class Inbox:
    """A receiver of messages, for every domain that names it."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.received.append(orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/inbox"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def inbox(around: Surroundings) -> Iterator[Inbox]:
    receiver = Inbox()
    for name in (SENDER, WALLET):
        write_domain(around.world, name, {"pw1": public_key_txt(KEY)}, receiver.url)
    yield receiver
    receiver.close()


def message(locator: str, correlation: str | None = None) -> bytes:
    header = {
        "From": SENDER,
        "To": DOMAIN,
        "Correlation": correlation or str(uuid.uuid4()),
        "Timestamp": utc_text(datetime.now(UTC)),
        "Subject": "VerifyLocator@Identity",
    }
    return orjson.dumps(sign(header, {"Locator": locator}, KEY, "pw1", Generation.NLWEB))


def post(service: ServiceProcess, data: bytes) -> int:
    """Post a message to an inbox; 0 when nobody answers."""
    url = f"http://127.0.0.1:{service.environment['FACESCAN_INBOX_PORT']}/inbox"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
            status: int = answer.status
            return status
    except OSError:
        return 0


async def publish(around: Surroundings, data: EventData) -> None:
    publisher = Publisher(KafkaSettings(kafka_bootstrap=around.kafka), "//test")
    await publisher.start()
    await publisher.publish(data)
    await publisher.stop()


async def event_of(around: Surroundings, model: type[EventData], **members: Any) -> Any:
    """Wait for the event whose data have these members, and return its data."""
    found: list[EventData] = []

    async def there() -> bool:
        for record in await all_records(around.kafka, model.topic):
            try:
                event = parse_record(record.headers, record.value)
            except CloudEventError:
                continue  # a test's junk
            data = BY_TYPE[event.type].model_validate_json(event.data)
            if all(getattr(data, name) == value for name, value in members.items()):
                found.append(data)
                return True
        return False

    await until_async(there, 15)
    return found[0]


async def enrol(around: Surroundings) -> str:
    """Register a person and return a locator."""
    people, locator = People(around.tables), f"loc-{uuid.uuid4()}"
    await people.save(Person("alice", WALLET, "w-1", LegalPhoto("persons/alice/legal-photo", "v-1", "00")))
    await people.issue(locator, "alice", datetime.now(UTC) + timedelta(days=1))
    return locator


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_runs_tells_its_operator(system: System, name: str) -> None:
    service = system.services[name]
    assert service.ask("/livez") == (200, "ok\n")
    assert service.ask("/readyz") == (200, "ok\n")
    status, metrics = service.ask("/metrics")
    assert status == 200
    assert "facescan_consumed_total" in metrics
    assert "python_info" in metrics
    assert service.ask("/")[0] == 404


@pytest.mark.parametrize("name", SERVICES)
def test_every_log_line_is_a_json_object_of_its_service(system: System, name: str) -> None:
    lines = [json.loads(line) for line in system.services[name].said().splitlines()]
    assert {line["service"] for line in lines} == {name}
    assert "started" in {line["message"] for line in lines}


async def test_the_inbox_turns_a_signed_message_into_a_request(system: System, inbox: Inbox) -> None:
    correlation = str(uuid.uuid4())
    data = message("nobody", correlation)
    assert {post(system.services["inbox"], data) for _ in range(3)} == {200}
    event = await event_of(
        system.around, VerificationRequested, verification_id=derived_id("verification", SENDER, correlation)
    )
    assert event.locator == "nobody"
    assert event.requester.correlation == correlation


async def test_the_session_service_opens_the_pop_up(system: System, inbox: Inbox) -> None:
    identifier = str(uuid.uuid4())
    request = VerificationRequested(verification_id=identifier, locator=await enrol(system.around))
    await publish(system.around, request)
    event = await event_of(system.around, PostRequested, order_key=identifier)
    assert (event.to, event.subject) == (WALLET, "OpenPopup@Wallet")
    url = event.body["Url"].replace(system.services["session"].environment["FACESCAN_SESSION_PUBLIC_URL"], "")
    assert url.startswith("/scan/")
    jar = CookieJar(policy=DefaultCookiePolicy(secure_protocols=("http", "https")))  # as browsers on loopback
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = await asyncio.to_thread(lambda: browser.open(event.body["Url"], timeout=5).read().decode())
    assert "Show that it is you" in page


async def test_the_verdict_service_ends_what_is_over(system: System, inbox: Inbox) -> None:
    identifier, now = str(uuid.uuid4()), int(time.time())
    await Verifications(system.around.tables).create(
        Verification(identifier, State.REQUESTED, "nobody", expires_at=now, created_at=now)
    )
    await publish(system.around, DeadlinePassed(verification_id=identifier))
    event = await event_of(system.around, VerdictReached, verification_id=identifier)
    assert event.outcome is Outcome.FAILURE


async def test_async_post_signs_and_delivers(system: System, inbox: Inbox) -> None:
    correlation = str(uuid.uuid4())
    body = {"Result": "SUCCESS"}
    await publish(
        system.around,
        PostRequested(to=SENDER, subject="LocatorVerified@Domain", body=body, correlation=correlation),
    )
    settled = await event_of(system.around, PostSettled, correlation=correlation)
    assert (settled.outcome, settled.http_status, settled.attempts) == ("delivered", 200, 1)
    (delivered,) = [one for one in inbox.received if one["Header"]["Correlation"] == correlation]
    verify(delivered, system.around.key.record)
    assert delivered["Body"] == body


async def test_junk_on_a_topic_stops_no_service(system: System, inbox: Inbox) -> None:
    writer = Writer(system.around.kafka)
    await writer.start()
    topics = ("facescan.inbox.accepted", VerificationRequested.topic, DeadlinePassed.topic, PostRequested.topic)
    for topic in topics:
        for partition in range(4):
            await writer.write_raw(topic, b"junk \xff", headers=[("null", None)], partition=partition)
    await writer.stop()
    await test_the_inbox_turns_a_signed_message_into_a_request(system, inbox)
    await test_the_verdict_service_ends_what_is_over(system, inbox)
    await test_async_post_signs_and_delivers(system, inbox)
    assert {service.ask("/readyz")[0] for service in system.services.values()} == {200}


async def test_one_trace_follows_a_message_through_the_services(system: System, inbox: Inbox) -> None:
    before, correlation = len(system.collector.spans), str(uuid.uuid4())
    assert post(system.services["inbox"], message(await enrol(system.around), correlation)) == 200
    identifier = derived_id("verification", SENDER, correlation)
    await until(lambda: any(one["Body"].get("Popup") == identifier for one in inbox.received))
    wanted = {
        ("facescan-inbox", "POST /inbox"),
        ("facescan-inbox", "route"),
        ("facescan-session", "process facescan.verification.requested"),
        ("facescan-async_post", "sign"),
        ("facescan-async_post", "process facescan.post.signed"),
    }

    def traces() -> list[dict[tuple[str, str], Seen]]:
        """Return the traces that have all of these spans and are not older than this test."""
        found: dict[str, dict[tuple[str, str], Seen]] = {}
        for span in system.collector.spans[before:]:
            found.setdefault(span.trace_id, {})[span.service, span.name] = span
        return [spans for spans in found.values() if wanted <= set(spans)]

    await until(traces)
    (spans,) = traces()
    door, route = spans["facescan-inbox", "POST /inbox"], spans["facescan-inbox", "route"]
    process = spans["facescan-session", "process facescan.verification.requested"]
    assert (door.parent_id, route.parent_id, process.parent_id) == ("", door.span_id, route.span_id)


def test_no_secret_is_in_a_log(system: System) -> None:
    everything = "".join(service.said() for service in system.services.values())
    for secret in (system.around.key.to_pem().splitlines()[1], "a secret of thirty-two", "/scan/"):
        assert secret not in everything


async def test_sigterm_ends_every_service_in_time_and_loses_nothing(system: System, inbox: Inbox) -> None:
    """The last test with these processes: messages come in while they are told to stop."""
    around, door = system.around, system.services["inbox"]
    messages = {str(uuid.uuid4()): b"" for _ in range(120)}
    messages = {correlation: message("nobody", correlation) for correlation in messages}
    with ThreadPoolExecutor(12) as threads:
        answers = {name: threads.submit(post, door, data) for name, data in messages.items()}
        await until(lambda: sum(answer.done() for answer in answers.values()) >= 20)
        for service in system.services.values():
            service.process.terminate()
        accepted = [name for name, answer in answers.items() if await asyncio.wrap_future(answer) == 200]
    began = time.monotonic()
    codes = {name: await asyncio.to_thread(service.process.wait, 5) for name, service in system.services.items()}
    assert codes == dict.fromkeys(SERVICES, 0), {name: system.services[name].said()[-500:] for name in codes}
    assert time.monotonic() - began < 5
    for service in system.services.values():
        assert "Traceback" not in service.said()
    assert len(accepted) >= 20
    with ExitStack() as stack:
        again = stack.enter_context(ServiceProcess("inbox", around.environment(), system.folder)).wait_ready()

        async def all_routed() -> bool:
            records = await all_records(around.kafka, VerificationRequested.topic)
            routed = [record.key.decode() for record in records if record.key]
            return {derived_id("verification", SENDER, name) for name in accepted} <= set(routed)

        await until_async(all_routed, 15)
        assert again.stop() == 0
