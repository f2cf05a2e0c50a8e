"""What the settings say about Kafka's security is what the client gets, or is refused in one line."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from aiokafka.abc import AbstractTokenProvider

from emulators.certificates import CA_FILE, issue_certificate, make_authority
from shared.errors import ConfigurationError
from shared.kafka_security import security_options
from shared.settings import KafkaSettings, load

BROKER = {"FACESCAN_KAFKA_BOOTSTRAP": "kafka:9092"}
SASL = {"FACESCAN_KAFKA_SECURITY": "sasl-tls", "FACESCAN_KAFKA_USERNAME": "door", "FACESCAN_KAFKA_PASSWORD": "se cret"}

IAM = {"FACESCAN_KAFKA_SECURITY": "sasl-tls", "FACESCAN_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM"}


def options(**settings: str) -> dict[str, object]:
    return security_options(load(KafkaSettings, BROKER | settings))


def test_without_a_word_kafka_is_spoken_to_in_the_clear() -> None:
    assert options() == {}


def test_sasl_shows_name_and_password_over_a_checked_connection() -> None:
    found = options(**SASL)
    context = found.pop("ssl_context")
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert found == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "door",
        "sasl_plain_password": "se cret",
    }


async def test_iam_gives_a_token_of_the_process_for_each_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of nobody")
    found: dict[str, Any] = options(**IAM)
    assert (found["security_protocol"], found["sasl_mechanism"]) == ("SASL_SSL", "OAUTHBEARER")
    assert found["ssl_context"].check_hostname
    # What the client itself insists on.
    assert isinstance(found["sasl_oauth_token_provider"], AbstractTokenProvider)
    assert len(await found["sasl_oauth_token_provider"].token()) > 200


def test_iam_needs_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="AWS_REGION is not set"):
        options(**IAM)


def test_tls_shows_a_certificate(tmp_path: Path) -> None:
    make_authority(tmp_path)
    certificate, key = issue_certificate(tmp_path, ["door.example"])
    (tmp_path / "own.pem").write_bytes(certificate + key)
    found = options(
        FACESCAN_KAFKA_SECURITY="tls",
        FACESCAN_KAFKA_CA=str(tmp_path / CA_FILE),
        FACESCAN_KAFKA_CERTIFICATE=str(tmp_path / "own.pem"),
    )
    assert found["security_protocol"] == "SSL"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"FACESCAN_KAFKA_SECURITY": "sasl-tls"}, "set FACESCAN_KAFKA_USERNAME and _PASSWORD"),
        (SASL | {"FACESCAN_KAFKA_SECURITY": "plaintext"}, "is plaintext, which shows no name"),
        ({"FACESCAN_KAFKA_SECURITY": "tls", "FACESCAN_KAFKA_CA": "/nowhere.pem"}, "CA: /nowhere.pem: no such file"),
        (IAM | {"FACESCAN_KAFKA_SECURITY": "tls"}, "is AWS_MSK_IAM: set FACESCAN_KAFKA_SECURITY to sasl-tls"),
        (IAM | {"FACESCAN_KAFKA_USERNAME": "door"}, "takes who we are from AWS's credentials"),
        (SASL | {"FACESCAN_KAFKA_SASL_MECHANISM": "GSSAPI"}, "FACESCAN_KAFKA_SASL_MECHANISM"),
        (SASL | {"FACESCAN_KAFKA_CA": __file__}, "no certificates in PEM"),
        (
            {"FACESCAN_KAFKA_SECURITY": "tls", "FACESCAN_KAFKA_CERTIFICATE": "/nowhere.pem"},
            "CERTIFICATE: /nowhere.pem: not to be read",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(settings: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as refused:
        options(**settings)
    assert "se cret" not in str(refused.value)
