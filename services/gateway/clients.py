"""The clients: who may ask, by hashes of bearer tokens, and where each is told the outcome.

One JSON document holds them all. A token and a webhook's secret have at most one older sibling each, which is good as
well until the rotation is ended. Tokens are 256 bits of chance, so that a plain hash gives nothing away.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from services.gateway.webhook import secret_key
from shared.errors import ConfigurationError
from shared.outbound import OutboundError, Target, Trouble, any_target, https_target

TOKEN_PREFIX: Final = "fsk_"  # noqa: S105 - by which scanners of source code find a leaked one
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - Standard Webhooks'
_MOST_OF_A_KIND: Final = 2
_BYTES: Final = 32

ClientName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]


class Webhook(BaseModel):
    """Where a client is told outcomes, and what they are signed with, the newest last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(min_length=1, max_length=2000)
    secrets: tuple[str, ...] = Field(min_length=1, max_length=_MOST_OF_A_KIND, repr=False)

    @field_validator("secrets")
    @classmethod
    def _keys(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            secret_key(text)
        return texts


class Client(BaseModel):
    """One client: SHA-256 of its tokens in hex, the newest last, and its webhook, if it has one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")], ...] = Field(
        min_length=1, max_length=_MOST_OF_A_KIND, repr=False
    )
    webhook: Webhook | None = None


class Clients(BaseModel):
    """All clients by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: Mapping[ClientName, Client] = Field(default_factory=dict)

    def authentic(self, token: str) -> str | None:
        """Return the name of the client whose token this is. Takes the same time for every one, right or wrong."""
        digest, found = token_hash(token), None
        for name, client in self.clients.items():
            for known in client.tokens:
                if hmac.compare_digest(digest, known):
                    found = name
        return found

    def webhook(self, name: str) -> Webhook | None:
        """Return where a client is told, or None for one that is not told, or is no client any more."""
        client = self.clients.get(name)
        return client.webhook if client is not None else None

    def to_text(self) -> str:
        """Return the document."""
        return self.model_dump_json(exclude_none=True, indent=1)


def parse_clients(text: str, where: str) -> Clients:
    """Return the clients in a document. Raises ConfigurationError without repeating anything of it."""
    try:
        return Clients.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the document"
        raise ConfigurationError(f"{where}: {place}: {first['msg'].removeprefix('Value error, ')}") from None


def token_hash(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return a fresh bearer token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_BYTES)


def new_secret() -> str:
    """Return a fresh secret of a webhook."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def check_url(url: str, *, anywhere: bool) -> str:
    """Return ``url`` when webhooks may go there: https, a domain name, port 443. Raises ConfigurationError.

    ``anywhere`` (development) takes http and any host and port too.
    """
    try:
        (any_target if anywhere else public_target)(url)
    except OutboundError as error:
        raise ConfigurationError(f"the webhook's URL: {error}") from None
    return url


def public_target(url: str) -> Target:
    """Return where a webhook goes: https, a domain name, port 443. Raises OutboundError."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise OutboundError(Trouble.URL, f"no URL: {error}") from error
    # Without a user, a port or a fragment: the authority is the name alone.
    if parts.scheme != "https" or parts.netloc.lower() != parts.hostname or parts.fragment:
        raise OutboundError(Trouble.URL, "must be https://<domain name>[/path]")
    return https_target(parts.hostname, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


# -- changes, each of them giving a new document ---------------------------------------------------------------------


def add(clients: Clients, name: str, url: str | None) -> tuple[Clients, str, str | None]:
    """Add a client; return also its token and its webhook's secret, which are shown once. Raises ConfigurationError."""
    if name in clients.clients:
        raise ConfigurationError(f"there is a client {name!r} already")
    token, secret = new_token(), new_secret() if url else None
    webhook = {"url": url, "secrets": [secret]} if url else None
    return _with(clients, name, {"tokens": [token_hash(token)], "webhook": webhook}), token, secret


def remove(clients: Clients, name: str) -> Clients:
    """Remove a client."""
    _known(clients, name)
    return Clients(clients={other: client for other, client in clients.clients.items() if other != name})


def rotate_token(clients: Clients, name: str) -> tuple[Clients, str]:
    """Give a client one more token; the one before stays good, an older one does not."""
    client, token = _known(clients, name), new_token()
    return _with(clients, name, {**client, "tokens": [client["tokens"][-1], token_hash(token)]}), token


def rotate_secret(clients: Clients, name: str) -> tuple[Clients, str]:
    """Give a client's webhook one more secret: both sign until the rotation is ended."""
    client, secret = _known(clients, name), new_secret()
    webhook = _webhook(client, name)
    return _with(clients, name, {**client, "webhook": {**webhook, "secrets": [webhook["secrets"][-1], secret]}}), secret


def end_rotation(clients: Clients, name: str) -> Clients:
    """Let the newest token and the newest secret alone be good."""
    client = _known(clients, name)
    webhook = client["webhook"] and {**client["webhook"], "secrets": client["webhook"]["secrets"][-1:]}
    return _with(clients, name, {"tokens": client["tokens"][-1:], "webhook": webhook})


def move_webhook(clients: Clients, name: str, url: str | None) -> tuple[Clients, str | None]:
    """Tell a client elsewhere, or not at all; return the secret of a webhook that is new."""
    client = _known(clients, name)
    if url is None:
        return _with(clients, name, {**client, "webhook": None}), None
    if client["webhook"]:
        return _with(clients, name, {**client, "webhook": {**client["webhook"], "url": url}}), None
    secret = new_secret()
    return _with(clients, name, {**client, "webhook": {"url": url, "secrets": [secret]}}), secret


def _known(clients: Clients, name: str) -> dict[str, Any]:
    if name not in clients.clients:
        raise ConfigurationError(f"there is no client {name!r}; see: facescan clients list")
    return clients.clients[name].model_dump()


def _webhook(client: dict[str, Any], name: str) -> dict[str, Any]:
    webhook: dict[str, Any] | None = client["webhook"]
    if webhook is None:
        raise ConfigurationError(f"client {name!r} has no webhook; see: facescan clients webhook")
    return webhook


def _with(clients: Clients, name: str, client: dict[str, Any]) -> Clients:
    try:
        return Clients.model_validate({"clients": {**clients.clients, name: client}})
    except ValidationError:
        raise ConfigurationError(f"{name!r}: a client's name has a to z, 0 to 9 and -, at most 63 of them") from None
