"""``facescan clients``: who may ask for verifications over HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import click

from cli.commands import Commands
from cli.connection import open_aws
from cli.output import emit, json_option, table
from cli.system_file import running_system
from services.gateway import clients as documents
from services.gateway.clients import Clients, parse_clients
from shared.core_dumps import forbid_core_dumps
from shared.errors import ConfigurationError
from shared.secret_versions import SecretChangedError, SecretVersions, StoredSecret
from shared.settings import Environment, StoreSettings, load

_TRIES: Final = 5
# Secrets Manager's own bound of a secret.
_MOST_BYTES: Final = 65_536
_ONCE: Final = "shown this once, and kept nowhere in the clear"


class ClientsSettings(StoreSettings):
    """Where the clients are; as the gateway has it."""

    clients_secret: str = "facescan/clients"  # noqa: S105 - its name
    environment: Environment = Environment.PRODUCTION


@click.group(cls=Commands)
def clients() -> None:
    """Make, list and remove the clients of the gateway, and rotate their tokens and secrets.

    They stand in one secret (FACESCAN_CLIENTS_SECRET); a running gateway reads it again within a minute.
    """
    forbid_core_dumps()


@clients.command("add")
@click.argument("name")
@click.option("--webhook", "url", metavar="URL", help="Where it is told outcomes; without one it looks for itself.")
@json_option
def add(name: str, url: str | None, as_json: bool) -> None:
    """Make a client; print its bearer token and its webhook's secret, once.

    \b
    Example:
      facescan clients add bank --webhook https://hooks.bank.example/facescan
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    _check(url)
    shown: dict[str, Any] = {"client": name}

    def change(known: Clients) -> Clients:
        changed, shown["token"], shown["webhook_secret"] = documents.add(known, name, url)
        return changed

    _change(change)
    _show(shown, as_json=as_json)


@clients.command("list")
@json_option
def list_clients(as_json: bool) -> None:
    """List the clients, without anything secret."""
    known = asyncio.run(_read())
    rows = [
        {
            "client": name,
            "tokens": len(client.tokens),
            "webhook": client.webhook.url if client.webhook else None,
            "secrets": len(client.webhook.secrets) if client.webhook else 0,
        }
        for name, client in sorted(known.clients.items())
    ]
    cells = [(str(r["client"]), str(r["tokens"]), str(r["webhook"] or ""), str(r["secrets"])) for r in rows]
    text = "\n".join(table([("client", "tokens", "webhook", "secrets"), *cells]))
    emit({"clients": rows}, text if rows else "no clients yet; make one with: facescan clients add", as_json=as_json)


@clients.command("rotate")
@click.argument("name")
@click.argument("what", type=click.Choice(["token", "secret"]))
@json_option
def rotate(name: str, what: str, as_json: bool) -> None:
    """Give a client one more token, or its webhook one more secret; print it, once.

    The one before stays good, and webhooks are signed with both, until `end-rotation`.
    """
    shown: dict[str, Any] = {"client": name}

    def change(known: Clients) -> Clients:
        if what == "token":
            changed, shown["token"] = documents.rotate_token(known, name)
        else:
            changed, shown["webhook_secret"] = documents.rotate_secret(known, name)
        return changed

    _change(change)
    _show(shown, as_json=as_json)


@clients.command("end-rotation")
@click.argument("name")
@json_option
def end_rotation(name: str, as_json: bool) -> None:
    """Let a client's newest token and secret alone be good."""
    _change(lambda known: documents.end_rotation(known, name))
    emit({"client": name}, f"{name}: the newest alone is good now", as_json=as_json)


@clients.command("webhook")
@click.argument("name")
@click.argument("url", required=False)
@json_option
def webhook(name: str, url: str | None, as_json: bool) -> None:
    """Tell a client at URL from now on, or nowhere without one. A first webhook's secret is printed, once."""
    _check(url)
    shown: dict[str, Any] = {"client": name}

    def change(known: Clients) -> Clients:
        changed, shown["webhook_secret"] = documents.move_webhook(known, name, url)
        return changed

    _change(change)
    _show(shown, as_json=as_json)


@clients.command("remove")
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a client: within a minute it may neither ask nor look, and is told nothing more."""
    _change(lambda known: documents.remove(known, name))
    emit({"client": name}, f"{name} is no client any more", as_json=as_json)


# -- parts -----------------------------------------------------------------------------------------------------------


def _settings() -> ClientsSettings:
    return load(ClientsSettings)


def _check(url: str | None) -> None:
    if url is not None:
        development = _settings().environment is Environment.DEVELOPMENT or running_system() is not None
        documents.check_url(url, anywhere=development)


def _show(shown: dict[str, Any], *, as_json: bool) -> None:
    shown = {name: value for name, value in shown.items() if value is not None}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()]
    emit(shown, "\n".join([*lines, *([_ONCE] if len(shown) > 1 else [])]), as_json=as_json)


async def _read() -> Clients:
    settings = _settings()
    aws = open_aws(settings)
    try:
        secret = SecretVersions(aws, settings.clients_secret, "FACESCAN_CLIENTS_SECRET")
        return _parsed(await secret.read(), secret.where)
    finally:
        aws.close()


def _change(change: Callable[[Clients], Clients]) -> None:
    asyncio.run(_changed(change))


async def _changed(change: Callable[[Clients], Clients]) -> None:
    settings = _settings()
    aws = open_aws(settings)
    try:
        secret = SecretVersions(aws, settings.clients_secret, "FACESCAN_CLIENTS_SECRET")
        for _ in range(_TRIES):
            old = await secret.read()
            text = change(_parsed(old, secret.where)).to_text()
            if len(text.encode()) > _MOST_BYTES:
                raise ConfigurationError(f"{secret.where}: is full; a secret holds {_MOST_BYTES} bytes")
            try:
                await secret.write(old.version, text)
            except SecretChangedError:
                continue
            return
        raise SecretChangedError
    finally:
        aws.close()


def _parsed(found: StoredSecret, where: str) -> Clients:
    return parse_clients(found.text, where) if found.version else Clients()
