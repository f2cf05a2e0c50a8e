"""The token by which a broker of Amazon MSK knows an IAM role, checked by Signature Version 4's own rules."""

import base64
import hashlib
import hmac
import subprocess
import sys
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import boto3
import pytest

from shared.errors import UnavailableError
from shared.kafka_iam import TOKEN_SECONDS, IamTokens

REGION = "eu-west-1"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def session(**credentials: str) -> boto3.session.Session:
    given = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": SECRET} | credentials
    return boto3.session.Session(region_name=REGION, **given)  # type: ignore[arg-type] # texts by their names


def opened(token: str) -> tuple[str, dict[str, str]]:
    """Return host and query of the address in a token."""
    assert "=" not in token
    address = urlsplit(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    assert (address.scheme, address.path) == ("https", "/")
    return address.netloc, dict(parse_qsl(address.query, strict_parsing=True))


def signature(host: str, query: dict[str, str]) -> str:
    """Sign the query by hand (AWS IAM User Guide, "Create a signed AWS API request")."""
    unsigned = {name: value for name, value in query.items() if name not in ("X-Amz-Signature", "User-Agent")}
    canonical_query = "&".join(f"{quote(name, safe='')}={quote(unsigned[name], safe='')}" for name in sorted(unsigned))
    empty = hashlib.sha256(b"").hexdigest()
    canonical = "\n".join(("GET", "/", canonical_query, f"host:{host}", "", "host", empty))
    _, date, region, service, end = query["X-Amz-Credential"].split("/")
    scope = "/".join((date, region, service, end))
    text = "\n".join(("AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{SECRET}".encode()
    for part in (date, region, service, end, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


async def test_a_token_is_a_signed_request_to_connect() -> None:
    host, query = opened(await IamTokens(REGION, session()).token())
    assert host == "kafka.eu-west-1.amazonaws.com"
    assert query["Action"] == "kafka-cluster:Connect"
    assert query["X-Amz-Expires"] == str(TOKEN_SECONDS) == "900"
    assert query["X-Amz-Credential"].split("/", 1)[1][8:] == "/eu-west-1/kafka-cluster/aws4_request"
    signed_at = datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - signed_at).total_seconds()) < 60
    assert query["X-Amz-SignedHeaders"] == "host"
    assert query["User-Agent"] == "facescan"
    assert query["X-Amz-Signature"] == signature(host, query)


async def test_the_token_of_a_role_names_its_session() -> None:
    host, query = opened(await IamTokens(REGION, session(aws_session_token="of/the+session==")).token())
    assert query["X-Amz-Security-Token"] == "of/the+session=="
    assert query["X-Amz-Signature"] == signature(host, query)


async def test_a_token_is_used_again_until_it_would_soon_end() -> None:
    clock = Clock()
    tokens = IamTokens(REGION, session(), clock)
    first = await tokens.token()
    clock.now = TOKEN_SECONDS - 121
    assert await tokens.token() is first
    clock.now = TOKEN_SECONDS - 119
    assert await tokens.token() is not first


async def test_without_credentials_it_waits_as_for_any_part_that_is_away() -> None:
    class Nobody:
        def get_credentials(self) -> None:
            return None

    with pytest.raises(UnavailableError, match="no AWS credentials for Kafka"):
        await IamTokens(REGION, Nobody()).token()


def test_a_process_without_iam_does_not_carry_it() -> None:
    code = "import sys, shared.service, shared.broker; print('shared.kafka_iam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
