"""Settings of every service: environment variables with the prefix ``FACESCAN_``, validated once at the start.

A wrong one ends the process with one line that names the variable and what was wrong with it. Values are never shown
for secrets. AWS's own variables (``AWS_REGION``, ``AWS_ENDPOINT_URL``, credentials) are boto3's and have its names.
"""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain_names import DomainName
from shared.errors import ConfigurationError
from shared.kafka_security import AWS_MSK_IAM, KafkaSecurity
from shared.outbound_addresses import AddressRules, parse_networks

PREFIX = "FACESCAN_"

Port = Annotated[int, Field(ge=1, le=65535)]


class Environment(StrEnum):
    """Whether settings that weaken a guard for one machine's sake are taken."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


class _FromEnvironment(BaseSettings):
    # Built on first use: a service uses one of these classes and inherits from the others.
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", defer_build=True)


class KafkaSettings(_FromEnvironment):
    """How to reach Kafka."""

    kafka_bootstrap: str = Field(
        pattern=r"^[A-Za-z0-9._\[\]:-]+:\d+(,[A-Za-z0-9._\[\]:-]+:\d+)*$",
        description="host:port[,host:port…] of brokers.",
    )
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="A name that this process keeps over restarts and no other has (a pod's ordinal, a host): its "
        "partitions come back to it without a rebalance.",
    )
    kafka_fetch_max_wait_milliseconds: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="How long a broker may hold a fetch while there is nothing new.",
    )
    kafka_linger_milliseconds: int = Field(
        default=0, ge=0, le=100, description="How long a record may wait for others to travel with."
    )
    kafka_session_timeout_seconds: float = Field(
        default=45.0, ge=1, le=300, description="After this silence the group gives a process's partitions away."
    )
    kafka_security: KafkaSecurity = Field(
        default=KafkaSecurity.PLAINTEXT,
        description="plaintext, tls (with a certificate of ours where FACESCAN_KAFKA_CERTIFICATE names one), or "
        "sasl-tls.",
    )
    kafka_ca: Path | None = Field(
        default=None,
        description="PEM file of the authorities that brokers' certificates are checked against; the system's without "
        "it.",
    )
    kafka_certificate: Path | None = Field(default=None, description="PEM file of our certificate's chain, for tls.")
    kafka_key: Path | None = Field(
        default=None, description="PEM file of its private key, when it does not stand in the same file."
    )
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "AWS_MSK_IAM"] = Field(
        default="SCRAM-SHA-512",
        description="SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN, for sasl-tls; or AWS_MSK_IAM: Amazon MSK by the rights of "
        "the process's IAM role, with neither name nor password.",
    )
    kafka_username: str | None = Field(default=None, description="Who we are, for sasl-tls.")
    kafka_password: SecretStr | None = Field(default=None, description="And how we show it.")

    @model_validator(mode="after")
    def _kafka_whole(self) -> Self:
        given = self.kafka_username is not None and self.kafka_password is not None
        if self.kafka_sasl_mechanism == AWS_MSK_IAM:
            if self.kafka_security is not KafkaSecurity.SASL_TLS:
                raise ValueError(
                    "FACESCAN_KAFKA_SASL_MECHANISM is AWS_MSK_IAM: set FACESCAN_KAFKA_SECURITY to sasl-tls"
                )
            if self.kafka_username is not None or self.kafka_password is not None:
                raise ValueError(
                    "FACESCAN_KAFKA_SASL_MECHANISM is AWS_MSK_IAM, which takes who we are from AWS's credentials: "
                    "FACESCAN_KAFKA_USERNAME and _PASSWORD do not count"
                )
        elif self.kafka_security is KafkaSecurity.SASL_TLS and not given:
            raise ValueError("FACESCAN_KAFKA_SECURITY is sasl-tls: set FACESCAN_KAFKA_USERNAME and _PASSWORD")
        if self.kafka_security is KafkaSecurity.PLAINTEXT and (given or self.kafka_certificate is not None):
            raise ValueError(
                "FACESCAN_KAFKA_SECURITY is plaintext, which shows no name, password or certificate: set it to tls or "
                "sasl-tls"
            )
        return self


class StoreSettings(_FromEnvironment):
    """What the stores are called."""

    table_prefix: str = Field(
        default="facescan-", pattern=r"^[a-zA-Z0-9_.-]{0,100}$", description="Before the name of every DynamoDB table."
    )
    bucket: str = Field(
        default="facescan", pattern=r"^[a-z0-9.-]{3,63}$", description="The S3 bucket of pictures; versioned."
    )
    provider_bucket: str = Field(
        default="",
        max_length=1000,
        pattern=r"^([a-z0-9.-]{3,63}(/[!-~]*)?)?$",
        description="bucket[/prefix] into which a liveness provider writes pictures, where one is told to: what "
        "retention and erasure remove there too.",
    )
    kms_key: str = Field(
        default="alias/facescan",
        min_length=1,
        max_length=2048,
        pattern=r"^[A-Za-z0-9:/_-]+$",
        description="The KMS key (alias, id or ARN) that wraps the persons' data keys.",
    )
    data_key_seconds: float = Field(
        default=30.0,
        ge=0,
        le=60,
        description="How long a process remembers an unwrapped data key; an erased person's may work for so long.",
    )
    store_threads: int = Field(
        default=8, ge=1, le=64, description="Calls to AWS at once; each costs a thread and a connection."
    )


class Settings(KafkaSettings, StoreSettings):
    """What every service needs to know."""

    domain: DomainName = Field(description="This Identity's domain name.")
    environment: Environment = Field(
        default=Environment.PRODUCTION,
        description="production, or development: only there are the settings named DEVELOPMENT taken.",
    )
    log_level: str = Field(
        default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR."
    )
    ops_host: str = Field(default="127.0.0.1", description="Where /livez, /readyz and /metrics listen.")
    ops_port: Port = Field(default=9400, description="Their port; keep it from the internet.")
    start_timeout_seconds: float = Field(
        default=60.0, gt=0, description="How long the start waits for Kafka and the stores before it gives up."
    )
    drain_seconds: float = Field(
        default=15.0, gt=0, description="How long a stop may finish what is in flight; the rest is read again."
    )


class OutboundSettings(Settings):
    """What a service needs to know that connects to servers of others."""

    outbound_allowed_networks: str = Field(
        default="",
        description="For private deployments: CIDR[,CIDR…] of networks that may be connected to beside the public "
        "internet. Whoever controls a name in DNS can then reach what is there.",
    )
    outbound_allowed_networks_again: str = Field(
        default="", description="The same once more; in production the one counts only beside the other."
    )

    @field_validator("outbound_allowed_networks", "outbound_allowed_networks_again")
    @classmethod
    def _networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @model_validator(mode="after")
    def _named_twice(self) -> Self:
        if self.environment is Environment.PRODUCTION and set(parse_networks(self.outbound_allowed_networks)) != set(
            parse_networks(self.outbound_allowed_networks_again)
        ):
            raise ValueError(
                "FACESCAN_OUTBOUND_ALLOWED_NETWORKS lets names in DNS lead into these networks: in production it is "
                "refused unless FACESCAN_OUTBOUND_ALLOWED_NETWORKS_AGAIN names the same ones"
            )
        return self

    @property
    def address_rules(self) -> AddressRules:
        """What may be connected to."""
        return AddressRules(parse_networks(self.outbound_allowed_networks))


def checked_roles(text: str, known: Sequence[str]) -> str:
    """Return ``text`` when it is role[,role…] of ``known``. Raises ValueError."""
    roles = text.split(",")
    wrong = [role for role in roles if role not in known]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no role; there are {', '.join(known)}")
    return text


S = TypeVar("S", bound=BaseSettings)


def load(model: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read ``model`` from the environment. Raises ConfigurationError in one line that names each wrong variable."""
    values = {} if environ is None else {
        name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)
    }  # fmt: skip
    # Beside a given environment the process's own must not count: no variable has this prefix.
    prefix = PREFIX if environ is None else "="
    try:
        return model(_env_prefix=prefix, **values)  # type: ignore[arg-type] # texts, which the model turns into values
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise ConfigurationError(
            "; ".join(_problem(model, detail, os.environ if environ is None else environ) for detail in problems)
        ) from None


def _problem(model: type[BaseSettings], detail: Mapping[str, object], environ: Mapping[str, str]) -> str:
    location = detail["loc"]
    names = location if isinstance(location, tuple) else (location,)
    variable = PREFIX + "_".join(str(part) for part in names).upper() if names else "settings"
    if detail["type"] == "missing":
        return f"{variable} is not set"
    message = str(detail["msg"]).removeprefix("Value error, ")
    field = model.model_fields.get(str(names[0])) if names else None
    if detail["type"] == "string_pattern_mismatch" and field is not None and field.description:
        # People read what it is for, not a regular expression.
        message = f"not of the right form: {field.description.rstrip('.')}"
    given = environ.get(variable)
    secret = any(word in variable for word in ("SECRET", "KEY", "TOKEN", "PASSWORD"))
    return f"{variable}: {message}" + (f" (it is {given[:80]!r})" if given is not None and not secret else "")
