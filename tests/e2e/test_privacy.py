"""What a whole system keeps and shows of a person: looked for in every store, by what was planted there."""

import asyncio
import base64
import contextlib
import json
import re
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner

from bench.load import MIXED, Load
from cli.enrolment import Enrolment
from cli.main import main
from cli.peers import SHOP, WALLET, Peers
from cli.run import SERVICES
from emulators.pictures import make_picture
from services.session.tokens import Tokens
from services.verdict.evidence import EvidenceStore
from shared.enrolled_factors import EnrolledFactors
from shared.events import derived_id
from shared.liveness import Finding, Result
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.stores import Tables
from shared.tables import ATTEMPTS, HISTORY
from shared.topics import DAY_SECONDS, DEAD_OURS, DEAD_THEIRS, TOPICS
from shared.verifications import Verifications
from tests.e2e.conftest import Running, start_system
from tests.support.store_search import found_in_stores, held
from tests.support.trace_collector import collecting

TOKEN_SECRET = f"secret-{uuid4().hex}"
CONFIDENCE = 91.273645
# What the emulated CompareFaces says of two pictures of one person.
SIMILARITY = re.compile(rb"(?<![0-9.])99\.[0-9]{3,4}(?![0-9])")
# Async Post's bodies are messages to a wallet, and one of them is the page's address: docs/privacy.md says so.
WITH_ADDRESSES = {"facescan.post.requested", "facescan.post.signed"}


@dataclass
class Person:
    """A person whose every datum is a word that stands nowhere else."""

    person: str = field(default_factory=lambda: f"person-{uuid4().hex}")
    wallet_id: str = field(default_factory=lambda: str(uuid4()))
    locator: str = field(default_factory=lambda: f"locator-{uuid4().hex}")
    code: str = field(default_factory=lambda: f"passport-{uuid4().hex}")
    answer: str = field(default_factory=lambda: f"answer{uuid4().hex}")
    otp_secret: bytes = b""
    device: str = field(default_factory=lambda: f"device-{uuid4().hex}")
    correlation: str = field(default_factory=lambda: str(uuid4()))
    sessions: list[str] = field(default_factory=list)
    key: bytes = b""

    @property
    def verification_id(self) -> str:
        return derived_id("verification", SHOP, self.correlation)

    @property
    def ids(self) -> dict[str, bytes]:
        words = {"person": self.person, "wallet": self.wallet_id, "locator": self.locator, "device": self.device}
        return {name: word.encode() for name, word in words.items()}

    @property
    def biometric(self) -> dict[str, bytes]:
        """What is nowhere in the open, not even before the erasure. The picture's bytes end with its pixels."""
        return {
            "picture": make_picture(self.person)[-60:], "code": self.code.encode(), "data key": self.key,
            "answer": self.answer.encode(), "secret of passwords": self.otp_secret,
            "the same for an authenticator": base64.b32encode(self.otp_secret),
        }  # fmt: skip

    @property
    def secrets(self) -> dict[str, bytes]:
        """What no log, event, trace or metric shows."""
        sessions = {f"session {number}": one.encode() for number, one in enumerate(self.sessions)}
        scores = {"confidence": str(CONFIDENCE)[:8].encode(), "token secret": TOKEN_SECRET.encode()}
        token = {"token": Tokens(TOKEN_SECRET).make(self.verification_id).encode()}
        return {**self.biometric, **sessions, **scores, **token}


@dataclass
class Run:
    """What was seen of a run that ended with an erasure."""

    person: Person = field(default_factory=Person)
    signing_keys: dict[str, bytes] = field(default_factory=dict)
    stores_before: dict[str, set[str]] = field(default_factory=dict)
    stores_after: dict[str, set[str]] = field(default_factory=dict)
    records: list[tuple[str, bytes]] = field(default_factory=list)
    metrics: list[tuple[str, bytes]] = field(default_factory=list)
    logs: list[tuple[str, bytes]] = field(default_factory=list)
    traces: list[tuple[str, bytes]] = field(default_factory=list)
    export: dict[str, Any] = field(default_factory=dict)
    erased: dict[str, Any] = field(default_factory=dict)
    erase_seconds: float = 0.0
    audit: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> list[tuple[str, bytes]]:
        """Everything that an operator or another system gets to see."""
        return self.records + self.metrics + self.logs + self.traces

    def places(self, marks: dict[str, bytes], where: list[tuple[str, bytes]]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for place, content in where:
            for mark in held(content, marks):
                found.setdefault(mark, set()).add(place)
        return found


def facescan(directory: Path, *arguments: str) -> Any:
    """Run the command in the folder of the running system and return its JSON."""
    with contextlib.chdir(directory):
        done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def verify(running: Running, load: Load, peers: Peers, person: Person) -> None:
    """Let the planted person be verified, and everybody else whom a demo has."""
    demo = running.demo
    tables = Tables(demo.aws, demo.stores)
    keys = PersonKeys(demo.aws, tables, demo.stores)
    await Enrolment(demo.aws, tables, demo.stores).enrol(
        person=person.person, photo=make_picture(person.person), photo_name="photo", wallet_domain=WALLET,
        wallet_id=person.wallet_id, locator=person.locator, expires_at=datetime.now(UTC) + timedelta(days=1),
        codes={"passport": person.code},
    )  # fmt: skip
    factors = EnrolledFactors(tables, Queries(demo.aws, demo.stores), keys)
    person.otp_secret = await factors.enrol_code(person.person)
    await factors.enrol_question(person.person, "first-pet", person.answer)
    behaviour = {"face": person.person, "confidence": CONFIDENCE, "steps": 3, "knows": person.answer}
    await peers.behave(WALLET, {"wallet": person.wallet_id, "shows_up": True, **behaviour})
    order = {"inbox": demo.inbox, "to": demo.domain, "locator": person.locator, "correlation": person.correlation}
    await peers.ask(SHOP, {**order, "purpose": "to be asked"})
    answer = await peers.answer(SHOP, person.correlation, 30)
    assert answer is not None
    assert answer["body"]["Result"] == "SUCCESS"
    await load.enrol(MIXED, 1)
    await load.run(5, 5, MIXED)
    verifications = Verifications(tables)
    attempt = await verifications.attempt(person.verification_id, 1)
    assert attempt is not None
    # What a crash would leave behind, and what a wallet says of its device.
    await EvidenceStore(demo.aws, demo.stores.bucket, keys).save(
        attempt, Result(Finding.LIVE, make_picture(person.person))
    )
    demo.aws.client("dynamodb").update_item(
        TableName=f"{demo.stores.table_prefix}verifications",
        Key={"verification_id": {"S": person.verification_id}},
        UpdateExpression="SET #c = :c",
        ExpressionAttributeNames={"#c": "context"},
        ExpressionAttributeValues={":c": {"S": json.dumps({"device": person.device})}},
    )
    (popup,) = (one for one in await peers.popups(WALLET) if one["wallet"] == person.wallet_id)
    assert popup["asked"] == 1, "the answer was given"
    person.sessions = [attempt.provider_session_id]
    person.key = (await keys.get(person.person)).secret
    assert await tables.get(HISTORY.name, {"person": person.person})
    assert await tables.get(ATTEMPTS.name, {"verification_id": person.verification_id, "attempt": 1})


async def all_records(kafka: str) -> list[tuple[str, bytes]]:
    """Return (topic, key, value and headers) of every record of every topic."""
    found = []
    async with AIOKafkaConsumer(bootstrap_servers=kafka) as client:
        topics = [topic for topic in await client.topics() if not topic.startswith("__")]
    async with AIOKafkaConsumer(*topics, bootstrap_servers=kafka, auto_offset_reset="earliest") as consumer:
        places = consumer.assignment()
        ends = await consumer.end_offsets(places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [
                    (one.topic, b"\n".join((one.key or b"", one.value or b"", repr(one.headers).encode())))
                    for one in records
                ]
    return found


def metrics_of(running: Running) -> list[tuple[str, bytes]]:
    found = []
    for service, url in running.workbench.system.ops.items():
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
            found.append((f"metrics of {service}", answer.read()))
    return found


def private_keys(running: Running) -> dict[str, bytes]:
    """Return a piece of each private key that the secrets manager has."""
    secrets = running.demo.aws.client("secretsmanager")
    texts = [
        secrets.get_secret_value(SecretId=one["ARN"])["SecretString"] for one in secrets.list_secrets()["SecretList"]
    ]
    pieces = [piece for text in texts for piece in re.findall(r"[A-Za-z0-9+/]{40,}", text)]
    assert pieces
    return {f"signing key {number}": piece.encode() for number, piece in enumerate(pieces)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A system in which a person was verified, given a copy, and forgotten; with what it has shown of that."""
    directory = tmp_path_factory.mktemp("privacy")
    run = Run()
    person = run.person
    terms = directory / "terms.json"
    terms.write_text('{"rules": [{"purpose": "to be asked", "least_proof": "scan and question"}]}')
    with collecting() as collector:
        with ExitStack() as open_parts:
            settings = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "FACESCAN_SCAN_TOKEN_SECRET": TOKEN_SECRET,
                "FACESCAN_LOG_LEVEL": "DEBUG", "FACESCAN_VERDICT_TERMS": str(terms),
            }  # fmt: skip
            running = start_system(directory / ".facescan", open_parts, kafka=None, settings=settings)
            running.drive(lambda load, peers: verify(running, load, peers, person))
            stores = _Stores(running.demo.aws, running.demo.stores)
            run.signing_keys = {
                name: piece
                for name, piece in private_keys(running).items()
                if piece.decode() not in _published(running)
            }
            run.stores_before = found_in_stores(stores, {**person.ids, **person.biometric})
            facescan(directory, "export", person.person, "--output", "copy.json")
            run.export = json.loads((directory / "copy.json").read_text())
            began = time.monotonic()
            run.erased = facescan(directory, "erase", person.person)
            run.erase_seconds = time.monotonic() - began
            run.stores_after = found_in_stores(stores, {**person.ids, **person.biometric, **person.secrets})
            assert facescan(directory, "audit", "verify")["lines"]
            facescan(directory, "retention", "run")
            run.records = asyncio.run(all_records(running.demo.kafka))
            run.metrics = metrics_of(running)
            log_dir = Path(running.workbench.system.log_dir)
            run.audit = _audit_lines(stores)
        run.logs = [(f"log of {service}", (log_dir / f"{service}.log").read_bytes()) for service in SERVICES]
        run.traces = [("traces", body) for body in collector.bodies]
    return run


@dataclass
class _Stores:
    aws: Any
    settings: Any


def _published(running: Running) -> str:
    """What stands in DNS is no secret: the public halves."""
    return "".join(path.read_text() for path in Path(running.workbench.system.world).glob("*.json"))


def _audit_lines(stores: _Stores) -> list[dict[str, Any]]:
    items = stores.aws.client("dynamodb").scan(TableName=f"{stores.settings.table_prefix}audit")["Items"]
    return [orjson.loads(item["line"]["S"]) for item in items]


def test_a_forgotten_person_is_found_in_no_table_and_no_version_of_an_object(run: Run) -> None:
    """Planted in every store before: ids found in plain, pictures and codes nowhere in the open even then."""
    for mark in run.person.ids:
        assert run.stores_before[mark], f"{mark} was not planted"
    for mark in run.person.biometric:
        assert not run.stores_before[mark], f"{mark} lies in the open in {run.stores_before[mark]}"
    assert not {mark: places for mark, places in run.stores_after.items() if places}
    assert all(one["left"] == 0 for one in run.erased["stores"])
    planted = {one["store"] for one in run.erased["stores"] if one["found"]}
    assert planted >= {
        "dynamodb persons", "dynamodb person-keys", "dynamodb locators", "dynamodb codes", "dynamodb history",
        "dynamodb factors",
        "dynamodb verifications", "dynamodb attempts", "dynamodb verdicts", "s3 legal photos", "s3 evidence",
    }  # fmt: skip
    assert run.erase_seconds < 60


def test_kafka_holds_of_a_forgotten_person_ids_alone_and_only_where_their_end_is_stated(run: Run) -> None:
    """Topics of ours, of three days, or fourteen for dead letters; no picture, code or key in any."""
    stated = {spec.name: spec.retention_seconds for spec in TOPICS}
    found = run.places({**run.person.ids, **run.person.biometric}, run.records)
    assert found.keys() >= {"person", "locator", "wallet"}, "the search finds what is there"
    assert found.keys() <= {"person", "locator", "wallet"}
    for topic in set().union(*found.values()):
        assert stated[topic] <= (14 if topic in (DEAD_OURS, DEAD_THEIRS) else 3) * DAY_SECONDS


def test_logs_traces_and_metrics_hold_nothing_of_a_person_but_verification_ids(run: Run) -> None:
    """Before and after the erasure; the services log at DEBUG here."""
    places = run.logs + run.traces + run.metrics
    assert not run.places({**run.person.ids, **run.person.biometric}, places)
    seen = run.places({"id": run.person.verification_id.encode()}, run.logs)
    assert {"log of session", "log of verdict"} <= seen["id"], "the search finds what is there"


def test_the_verdict_service_looks_for_what_has_had_its_time_by_itself(run: Run) -> None:
    (log,) = (content for name, content in run.logs if name == "log of verdict")
    assert any(orjson.loads(line)["message"] == "retention" for line in log.splitlines() if line.startswith(b"{"))


def test_no_log_event_trace_or_metric_holds_a_picture_a_score_a_token_a_key_a_code_or_an_answer(run: Run) -> None:
    """One exception is stated: the page's address in the message to the wallet, in the two queues of Async Post."""
    marks = {**run.person.secrets, **run.signing_keys}
    assert len(run.signing_keys) >= 1
    assert run.logs
    assert run.traces
    assert run.metrics
    found = run.places(marks, run.shown)
    assert found.pop("token") <= WITH_ADDRESSES
    assert not found
    for place, content in run.shown:
        assert not SIMILARITY.search(content), place
        assert b"\x89PNG" not in content, place
        assert b"iVBORw0KGgo" not in content, place  # a PNG's beginning in base64
        for word in (b"similarity", b"confidence"):
            assert word not in content.lower(), (place, word)


def test_a_person_s_own_copy_has_the_pictures_and_codes_opened(run: Run) -> None:
    assert run.export["verified_codes"] == {"passport": run.person.code}
    assert sum("picture" in one for one in run.export["pictures"]) == 2
    text = json.dumps(run.export)
    assert all(word.decode() in text for word in run.person.ids.values())


def test_the_audit_trail_says_who_asked_on_what_ground_and_what_was_decided_and_of_nobody(run: Run) -> None:
    (line,) = (one for one in run.audit if one["facts"].get("verification_id") == run.person.verification_id)
    assert line["kind"] == "verification.decided"
    assert (line["facts"]["requester"], line["facts"]["outcome"]) == (SHOP, "success")
    assert line["facts"]["consent_version"]
    kinds = [one["kind"] for one in run.audit]
    assert kinds.count("verification.decided") == 6
    assert {"person.enrolled", "person.erased", "person.exported"} <= set(kinds)
    text = orjson.dumps(run.audit)
    assert not held(text, {**run.person.ids, **run.person.secrets})
