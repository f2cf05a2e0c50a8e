"""How Kafka is spoken to: in the clear, over TLS (also with a certificate of ours), by a password or IAM over TLS.

The client's own options, made of the settings; every client of Kafka here takes them from this file.
"""

import ssl
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.errors import ConfigurationError

if TYPE_CHECKING:
    from shared.settings import KafkaSettings


class KafkaSecurity(StrEnum):
    """What stands between us and the brokers."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    SASL_TLS = "sasl-tls"


AWS_MSK_IAM: Final = "AWS_MSK_IAM"
_PROTOCOLS: Final = {KafkaSecurity.TLS: "SSL", KafkaSecurity.SASL_TLS: "SASL_SSL"}


def security_options(settings: "KafkaSettings") -> dict[str, Any]:
    """Return the Kafka client's options beside the address. Raises ConfigurationError for files that are no use."""
    protocol = _PROTOCOLS.get(settings.kafka_security)
    if protocol is None:
        return {}
    options: dict[str, Any] = {"security_protocol": protocol, "ssl_context": tls_context(settings)}
    if tokens := token_provider(settings):
        options |= {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": tokens}
    elif settings.kafka_security is KafkaSecurity.SASL_TLS:
        assert settings.kafka_password is not None  # noqa: S101 - the settings have refused it
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": settings.kafka_password.get_secret_value(),
        }
    return options


def token_provider(settings: "KafkaSettings") -> Any | None:
    """Return who gives a token for each connection, where IAM's rights count. Raises ConfigurationError."""
    if settings.kafka_security is not KafkaSecurity.SASL_TLS or settings.kafka_sasl_mechanism != AWS_MSK_IAM:
        return None
    from shared.kafka_iam import iam_tokens  # noqa: PLC0415 - memory: only where it is chosen

    return iam_tokens()


def tls_context(settings: "KafkaSettings") -> ssl.SSLContext:
    """Return the context that checks the brokers' certificates and shows ours. Raises ConfigurationError."""
    if settings.kafka_ca is not None and not settings.kafka_ca.is_file():
        raise ConfigurationError(f"FACESCAN_KAFKA_CA: {settings.kafka_ca}: no such file")
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ca)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"FACESCAN_KAFKA_CA: {settings.kafka_ca}: no certificates in PEM") from error
    if settings.kafka_certificate is not None:
        _show(context, settings.kafka_certificate, settings.kafka_key)
    return context


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"FACESCAN_KAFKA_CERTIFICATE: {certificate}: not to be read as a certificate with its key"
        ) from error
