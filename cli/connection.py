"""Where Kafka, AWS and the inbox are: as an option says, else in the running workbench, else by the environment."""

import os
from typing import Final

from cli.local_aws import LocalAws
from cli.system_file import running_system
from cli.workbench_environment import key_environment
from services.async_post.key_settings import KeySettings
from shared.errors import ConfigurationError
from shared.settings import KafkaSettings, StoreSettings, load
from shared.stores import Aws

_AWS_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE")


def kafka_address(option: str | None = None) -> str:
    """Return host:port[,…] of brokers. Raises ConfigurationError that says what to do."""
    return kafka_settings(option).kafka_bootstrap


def kafka_settings(option: str | None = None) -> KafkaSettings:
    """Return how Kafka is reached and spoken to. Raises ConfigurationError that says what to do."""
    system = None if option else running_system()
    address = option or (system.kafka if system else os.environ.get("FACESCAN_KAFKA_BOOTSTRAP"))
    if not address:
        raise ConfigurationError(
            "no Kafka is known: run `facescan up` in this folder, or set FACESCAN_KAFKA_BOOTSTRAP to host:port"
        )
    # The workbench's broker is plain, whatever this environment says of another one.
    around = {name: value for name, value in os.environ.items() if not (system and name.startswith("FACESCAN_KAFKA_"))}
    return load(KafkaSettings, {**around, "FACESCAN_KAFKA_BOOTSTRAP": address})


def store_settings() -> StoreSettings:
    """Return what the stores are called. Raises ConfigurationError."""
    return load(StoreSettings)


def key_settings() -> KeySettings:
    """Return where the signing keys are and how their records get into DNS. Raises ConfigurationError."""
    system = running_system()
    return load(KeySettings, {**os.environ, **(key_environment(system.domain, system.dns) if system else {})})


def open_aws(settings: StoreSettings) -> Aws:
    """Return AWS clients. Raises ConfigurationError that says what to do."""
    system = running_system()
    if system is not None:
        return LocalAws(settings, system.aws)
    if not any(os.environ.get(name) for name in _AWS_VARIABLES):
        raise ConfigurationError(
            "no AWS is known: run `facescan up` in this folder, or set AWS_REGION and credentials "
            "(and AWS_ENDPOINT_URL, if it is not Amazon's)"
        )
    return Aws(settings)


def inbox_url(option: str | None = None) -> str:
    """Return the URL to post messages to. Raises ConfigurationError that says what to do."""
    system = None if option else running_system()
    url = option or (system.inbox if system else None)
    if not url:
        raise ConfigurationError("no inbox is known: run `facescan up` in this folder, or give --inbox URL")
    return url
