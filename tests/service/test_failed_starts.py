"""A start that cannot succeed ends in one line that names what to change, and no stack trace."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import dns.flags
import dns.message
import pytest

from tests.support.dns_relay import relaying
from tests.support.service_process import SERVICES, ServiceProcess, Surroundings
from tests.unit.emulators.processes import free_port

NOBODY = f"127.0.0.1:{free_port()}"


@dataclass(frozen=True)
class Case:
    """A start with other settings; ``taken`` names a setting whose port somebody else has.

    ``obliging``: its resolver says of everything that it was validated.
    """

    service: str
    says: tuple[str, ...]
    change: dict[str, str] = field(default_factory=dict)
    without: str = ""
    taken: str = ""
    obliging: bool = False
    code: int = 2


CASES = {
    **{
        f"{name}: a wrong setting": Case(
            name, ("FACESCAN_KAFKA_BOOTSTRAP", "nonsense"), {"FACESCAN_KAFKA_BOOTSTRAP": "nonsense"}
        )
        for name in SERVICES
    },
    **{
        f"{name}: Kafka does not answer": Case(
            name,
            (NOBODY, "does not answer"),
            {"FACESCAN_KAFKA_BOOTSTRAP": NOBODY, "FACESCAN_START_TIMEOUT_SECONDS": "0.5"},
            code=1,
        )
        for name in ("inbox", "async_post")
    },
    "a missing setting": Case("inbox", ("FACESCAN_DOMAIN is not set",), without="FACESCAN_DOMAIN"),
    "several wrong settings": Case(
        "session",
        ("FACESCAN_SESSION_PORT", "FACESCAN_SCAN_TOKEN_SECRET"),
        {"FACESCAN_SESSION_PORT": "0", "FACESCAN_SCAN_TOKEN_SECRET": "too short"},
    ),
    "the operator's port is taken": Case("verdict", ("FACESCAN_OPS_PORT",), taken="FACESCAN_OPS_PORT"),
    "the inbox's port is taken": Case("inbox", ("FACESCAN_INBOX_PORT",), taken="FACESCAN_INBOX_PORT"),
    "a resolver that does not validate": Case("inbox", ("FACESCAN_DNS_RESOLVER", "does not validate"), obliging=True),
    "a missing table": Case(
        "inbox", ("missing: elsewhere-claims", "facescan tables create"), {"FACESCAN_TABLE_PREFIX": "elsewhere-"}
    ),
    "no region": Case("verdict", ("AWS_REGION is not set",), without="AWS_REGION"),
    "AWS does not answer": Case(
        "verdict",
        ("dynamodb.DescribeTable", "EndpointConnectionError"),
        {"AWS_ENDPOINT_URL": f"http://{NOBODY}", "FACESCAN_START_TIMEOUT_SECONDS": "0.5"},
        code=1,
    ),
    "a missing signing key": Case(
        "async_post",
        ("FACESCAN_SIGNING_SECRET", "nothing/here"),
        {"FACESCAN_SIGNING_SECRET": "nothing/here", "FACESCAN_START_TIMEOUT_SECONDS": "0.5"},
        code=1,
    ),
}


@pytest.fixture(scope="module")
def starts(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServiceProcess]]:
    """All of them, started side by side."""
    folder = tmp_path_factory.mktemp("starts")
    taken = around.aws_url.rpartition(":")[2]
    with ExitStack() as stack:
        started = {}
        liar = stack.enter_context(relaying(around.dns))
        liar.change = _oblige
        for name, case in CASES.items():
            environment = around.environment() | case.change
            environment.pop(case.without, None)
            if case.taken:
                environment[case.taken] = taken
            if case.obliging:
                environment["FACESCAN_DNS_RESOLVER"] = liar.address
            started[name] = stack.enter_context(ServiceProcess(case.service, environment, folder))
        yield started


def _oblige(answer: dns.message.Message) -> None:
    answer.flags |= dns.flags.AD


@pytest.mark.parametrize("name", CASES)
def test_a_start_that_fails_says_why_in_one_line(starts: dict[str, ServiceProcess], name: str) -> None:
    case, service = CASES[name], starts[name]
    assert service.process.wait(60) == case.code, service.said()
    assert "Traceback" not in service.said()
    # Beside it there may be log lines, each a JSON object.
    (line,) = [line for line in service.said().splitlines() if not line.startswith("{")]
    assert line.startswith(f"facescan run {case.service}: ")
    for word in case.says:
        assert word in line
    assert "too short" not in line


@pytest.mark.parametrize("name", ["a missing table", "no region", "AWS does not answer", "a missing signing key"])
def test_a_start_that_fails_leaves_nothing_open(starts: dict[str, ServiceProcess], name: str) -> None:
    starts[name].process.wait(60)
    assert "Unclosed" not in starts[name].said()
