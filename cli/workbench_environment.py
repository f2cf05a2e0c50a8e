"""The environment of the workbench's processes: the whole configuration of the embedded system, in one place."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.local_aws import LOCAL_ENVIRONMENT
from services import inbox
from shared.errors import ConfigurationError

DOMAIN: Final = "id.example"
SELECTOR: Final = "pw1"
SIGNING_SECRET: Final = "facescan/signing-key"  # noqa: S105 - the name of a secret
STREAMING_ROLE: Final = "arn:aws:iam::123456789012:role/facescan-streaming"
INSTANCE: Final = "workbench"
# The emulated internet takes dynamic updates from whoever is on this machine: this key keeps nobody out.
UPDATE_KEY_NAME: Final = "workbench"
UPDATE_KEY: Final = "d29ya2JlbmNoLXdvcmtiZW5jaC13b3JrYmVuY2g="
AZURE_KEY: Final = "azure-local-key"
HOST: Final = "127.0.0.1"
ENDPOINTS: Final = "endpoints.toml"
_EMBEDDED_KAFKA: Final = {
    "FACESCAN_KAFKA_SESSION_TIMEOUT_SECONDS": "6",
}
_VERIFICATION_SECONDS: Final = "FACESCAN_VERIFICATION_SECONDS"
_DEFAULT_VERIFICATION_SECONDS: Final = "600"  # as in services.session.settings
# What a process of ours must not inherit: another system's settings and credentials.
_OURS: Final = ("FACESCAN_", "AWS_")


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of the services on this machine; ``ops`` is by service."""

    inbox: int
    session: int
    chat: int
    gateway: int
    ops: Mapping[str, int]


def base_environment() -> dict[str, str]:
    """Return this process's environment without any setting of facescan or AWS, and no proxy for this machine."""
    direct = ",".join(filter(None, ("127.0.0.1,localhost", os.environ.get("no_proxy") or os.environ.get("NO_PROXY"))))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "NO_PROXY": direct, "no_proxy": direct}


def system_environment(
    *,
    kafka: str,
    embedded: bool,
    aws: str,
    own_aws: bool,
    dns: str,
    world: Path,
    ports: Ports,
    face_model: Path,
    endpoint_map: Path,
    streaming: str | None,
    settings: Mapping[str, str],
) -> dict[str, str]:
    """Return the environment that all services share; ``settings`` (whole names) win over everything.

    ``embedded`` and ``own_aws`` say whether the embedded broker and the emulated AWS are used; with another AWS the
    caller's credentials count. ``streaming`` is where the scan page's video goes; None: to AWS.
    """
    given = {} if own_aws else {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {
        **base_environment(),
        **LOCAL_ENVIRONMENT,
        **given,
        "AWS_ENDPOINT_URL": aws,
        "FACESCAN_DOMAIN": DOMAIN,
        "FACESCAN_ENVIRONMENT": "development",
        "FACESCAN_KAFKA_BOOTSTRAP": kafka,
        "FACESCAN_INSTANCE": INSTANCE,
        "FACESCAN_INBOX_PORT": str(ports.inbox),
        "FACESCAN_SESSION_PORT": str(ports.session),
        # All people of this machine have one address, and a sample domain or two ask for them.
        "FACESCAN_ADDRESS_FAILURES": "0",
        "FACESCAN_REQUESTER_FAILURES": "0",
        "FACESCAN_CHAT_PORT": str(ports.chat),
        "FACESCAN_GATEWAY_PORT": str(ports.gateway),
        "FACESCAN_CLIENTS_REREAD_SECONDS": "1",
        # Who is told is on this machine, too.
        "FACESCAN_DEVELOPMENT_WEBHOOKS_ANYWHERE": "true",
        "FACESCAN_ENDPOINT_MAP": str(endpoint_map),
        "FACESCAN_SESSION_PUBLIC_URL": f"http://{HOST}:{ports.session}",
        "FACESCAN_SCAN_TOKEN_SECRET": secrets.token_urlsafe(32),
        "FACESCAN_STREAMING_ROLE": STREAMING_ROLE,
        "FACESCAN_FACE_MODEL": str(face_model),
        # The stand-in takes as many as come.
        "FACESCAN_REKOGNITION_SESSIONS_PER_SECOND": "0",
        **({"FACESCAN_DEVELOPMENT_STREAMING_URL": streaming} if streaming else {}),
        "FACESCAN_DNS_RESOLVER": dns,
        "FACESCAN_DEVELOPMENT_CONNECT_TO": str(world),
        **(_EMBEDDED_KAFKA if embedded else {}),
        **settings,
    }


def chat_endpoints(port: int) -> str:
    """Return an endpoint map that takes all that this Identity understands; the session service is on this machine."""
    return (
        Path(inbox.__path__[0], "endpoints.toml").read_text()
        + f"""
[endpoints.prompted]
kind = "sync"
url = "http://{HOST}:{port}/prompted"

[endpoints.replied]
kind = "sync"
url = "http://{HOST}:{port}/replied"

[[routes]]
subject = "Hello@Host"
to = ["verification"]

[[routes]]
subject = "Prompted@Host"
to = ["prompted"]
senders = ["anonymous"]

[[routes]]
subject = "Reply@Host"
to = ["replied"]
senders = ["anonymous"]
"""
    )


def wants_azure(settings: Mapping[str, str]) -> bool:
    """Whether the services are told to use Azure, and not told where it is."""
    chosen = settings.get("FACESCAN_LIVENESS_PROVIDER", "") + settings.get(
        "FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER", ""
    )
    return "azure" in chosen and "FACESCAN_AZURE_ENDPOINT" not in settings


def azure_environment(url: str) -> dict[str, str]:
    """Return the settings by which the services use the stand-in of Azure, its hosted page included."""
    return {
        "FACESCAN_AZURE_ENDPOINT": url,
        "FACESCAN_AZURE_QUICK_LINK": url,
        "FACESCAN_AZURE_KEY": AZURE_KEY,
        # It takes as many as come.
        "FACESCAN_AZURE_SESSIONS_PER_SECOND": "0",
    }


def frame_environment(port: int) -> dict[str, str]:
    """Return the setting by which the playground at ``port``, and no other page, may frame the scan page."""
    return {"FACESCAN_DEVELOPMENT_FRAMED_BY": f"http://{HOST}:{port}"}


def key_environment(domain: str, dns: str) -> dict[str, str]:
    """Return the settings by which `facescan keys` works on the emulated internet."""
    return {
        "FACESCAN_DOMAIN": domain,
        "FACESCAN_DNS_RESOLVER": dns,
        "FACESCAN_KEY_PUBLISHER": "rfc2136",
        "FACESCAN_RFC2136_SERVER": dns,
        "FACESCAN_RFC2136_KEY_NAME": UPDATE_KEY_NAME,
        "FACESCAN_RFC2136_KEY_SECRET": UPDATE_KEY,
        # Its zones have a negative time to live of 5 s.
        "FACESCAN_KEY_SETTLE_SECONDS": "5",
        "FACESCAN_KEY_LOOK_SECONDS": "0.5",
    }


def verification_seconds(environment: Mapping[str, str]) -> float:
    """Return how long the services give a person. Raises ConfigurationError when the variable holds no number."""
    text = environment.get(_VERIFICATION_SECONDS, _DEFAULT_VERIFICATION_SECONDS)
    try:
        return float(text)
    except ValueError as error:
        raise ConfigurationError(f"{_VERIFICATION_SECONDS}: {text!r} is no number") from error


def service_environment(shared: Mapping[str, str], ports: Ports, service: str) -> dict[str, str]:
    """Return the environment of one service."""
    return {**shared, "FACESCAN_OPS_PORT": str(ports.ops[service])}
