"""On a real Kafka with SASL/SCRAM, TLS and access rules, each role has the rights that it needs and no others."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from cli.embedded_topics import make_topics
from deploy.roles import ROLES, Role
from deploy.strimzi import users
from emulators.certificates import issue_certificate
from emulators.envelopes import verify
from shared.broker import Publisher
from shared.errors import UnavailableError
from shared.events import PostRequested, PostSettled, VerdictReached, VerificationRequested
from shared.kafka_security import security_options
from shared.settings import KafkaSettings, load
from tests.service.conftest import around as around  # noqa: PLC0414 - a fixture
from tests.service.test_services import Inbox, inbox, message, post  # noqa: F401 - a fixture
from tests.support.kafka_fixtures import leave_untested
from tests.support.kafka_node import KafkaNotObtainableError
from tests.support.readers import all_records, until_async
from tests.support.secured_kafka import SecuredKafka, secured_kafka
from tests.support.service_process import ServiceProcess, Surroundings

pytestmark = pytest.mark.kafka

MUTUAL = {
    "metadata": {"name": "facescan-mutual"},
    "spec": {
        "authorization": {
            "acls": [
                {
                    "resource": {"type": "topic", "name": VerificationRequested.topic, "patternType": "literal"},
                    "operations": ["Write", "Describe"],
                }
            ]
        }
    },
}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    try:
        with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
            asyncio.run(make_topics(running.plain, partitions=1))
            running.add([*users(), MUTUAL])
            yield running
    except KafkaNotObtainableError as error:
        why = str(error)
    else:
        return
    leave_untested("Kafka with SASL, TLS and access rules", why)


async def publish(settings: dict[str, str], data: VerificationRequested | PostRequested) -> None:
    publisher = Publisher(load(KafkaSettings, settings), "//test")
    await publisher.start()
    try:
        await publisher.publish(data)
    finally:
        await publisher.stop()


def request() -> VerificationRequested:
    return VerificationRequested(verification_id=str(uuid.uuid4()), locator="nobody")


async def test_every_role_works_with_its_own_rights_alone(
    kafka: SecuredKafka,
    around: Surroundings,
    inbox: Inbox,  # noqa: F811
    tmp_path: Path,
) -> None:
    """A signed message goes in at the door, and out of the sender comes the answer that there is nobody."""

    def process(role: Role) -> ServiceProcess:
        settings = around.environment() | role.variables | kafka.as_user(f"facescan-{role.name}")
        return ServiceProcess(role.service, settings | {"FACESCAN_VERIFICATION_SECONDS": "1"}, tmp_path)

    running = {role.name: process(role) for role in ROLES}
    try:
        for service in running.values():
            await asyncio.to_thread(service.wait_ready)
        correlation = str(uuid.uuid4())
        data = message("nobody", correlation)
        assert [await asyncio.to_thread(post, running["door"], data) for _ in range(2)] == [200, 200]

        async def answered() -> bool:
            return any(one["Body"].get("Request") == correlation for one in inbox.received)

        await until_async(answered, 30)
        (answer,) = [one for one in inbox.received if one["Body"].get("Request") == correlation]
        verify(answer, around.key.record)

        async def settled() -> bool:
            return bool(await all_records(kafka.plain, PostSettled.topic))

        await until_async(settled, 10)
        assert not [service.said() for service in running.values() if "AuthorizationFailed" in service.said()]
        assert not await all_records(kafka.plain, "facescan.dead.ours")
    finally:
        for service in running.values():
            service.process.terminate()
        for service in running.values():
            await asyncio.to_thread(service.process.wait, 60)


async def test_a_system_from_outside_asks_and_reads_the_outcome_and_may_nothing_else(kafka: SecuredKafka) -> None:
    outside = kafka.as_user("facescan-outside")
    await publish(outside, request())
    settings = load(KafkaSettings, outside)
    async with AIOKafkaConsumer(
        VerdictReached.topic,
        bootstrap_servers=settings.kafka_bootstrap,
        group_id="outside.bank",
        **security_options(settings),
    ) as consumer:
        await consumer.getmany(timeout_ms=100)
    with pytest.raises(UnavailableError, match="TopicAuthorizationFailed"):
        await publish(outside, PostRequested(to="shop.example", subject="Any@Domain", body={}))


async def test_a_wrong_password_is_refused(kafka: SecuredKafka) -> None:
    with pytest.raises(UnavailableError):
        await publish(kafka.as_user("facescan-outside") | {"FACESCAN_KAFKA_PASSWORD": "another"}, request())


async def test_a_broker_of_an_unknown_authority_is_not_spoken_to(kafka: SecuredKafka) -> None:
    settings = kafka.as_user("facescan-outside")
    del settings["FACESCAN_KAFKA_CA"]
    with pytest.raises(UnavailableError):
        await publish(settings, request())


async def test_a_certificate_is_who_we_are_where_kafka_wants_one(kafka: SecuredKafka, tmp_path: Path) -> None:
    certificate, key = issue_certificate(kafka.folder, ["client.example"])
    (tmp_path / "own.pem").write_bytes(certificate)
    (tmp_path / "own-key.pem").write_bytes(key)
    tls = {
        "FACESCAN_KAFKA_BOOTSTRAP": kafka.mutual,
        "FACESCAN_KAFKA_SECURITY": "tls",
        "FACESCAN_KAFKA_CA": str(kafka.ca),
    }
    own = {
        "FACESCAN_KAFKA_CERTIFICATE": str(tmp_path / "own.pem"),
        "FACESCAN_KAFKA_KEY": str(tmp_path / "own-key.pem"),
    }
    asked = request()
    await publish(tls | own, asked)
    values = [orjson.loads(record.value) for record in await all_records(kafka.plain, VerificationRequested.topic)]
    assert asked.verification_id in {value["verification_id"] for value in values}
    with pytest.raises(UnavailableError):
        await publish(tls, request())
