"""``facescan wallet``: keys of senders that are no domains."""

import asyncio
import uuid
from pathlib import Path

import click

from cli.commands import Commands
from cli.connection import open_aws, store_settings
from cli.output import emit, json_option
from shared.errors import ConfigurationError
from shared.keys import KeyRecordError, parse_key_record
from shared.registered_keys import RegisteredKeys
from shared.stores import ConditionFailedError, Tables


def _wallet(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise click.BadParameter("a UUID is expected") from None


@click.group(cls=Commands)
def wallet() -> None:
    """Register and revoke the keys of wallets, which sign with their UUID as From."""


@wallet.command()
@click.argument("wallet_id", callback=_wallet)
@click.option(
    "--record",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="A file with the public key as a DKIM record: v=DKIM1;k=ed25519;p=…",
)
@click.option("--replace", is_flag=True, help="Take the place of another key; the old one ends within half a minute.")
@json_option
def register(*, wallet_id: str, file: Path, replace: bool, as_json: bool) -> None:
    """Register the public key of a wallet.

    \b
    Example:
      facescan wallet register 125a5c75-cb72-43d2-9695-37026dfcaa48 --record wallet.txt
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    try:
        record = file.read_text("ascii").strip()
        parse_key_record(record)
    except (KeyRecordError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: no usable key record: {error}") from error
    asyncio.run(_write(wallet_id, record, replace=replace))
    emit({"wallet": wallet_id, "registered": True}, f"registered {wallet_id}", as_json=as_json)


@wallet.command()
@click.argument("wallet_id", callback=_wallet)
@json_option
def revoke(*, wallet_id: str, as_json: bool) -> None:
    """Revoke the key of a wallet; nothing that it signs is taken until another is registered with --replace.

    \b
    Example:
      facescan wallet revoke 125a5c75-cb72-43d2-9695-37026dfcaa48
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    asyncio.run(_write(wallet_id, "v=DKIM1;p=", replace=True))
    emit({"wallet": wallet_id, "registered": False}, f"revoked {wallet_id}", as_json=as_json)


async def _write(owner: str, record: str, *, replace: bool) -> None:
    settings = store_settings()
    aws = open_aws(settings)
    try:
        await RegisteredKeys(Tables(aws, settings)).register(owner, record, replace=replace)
    except ConditionFailedError as error:
        raise ConfigurationError(f"{owner} has another key already; use --replace to change it") from error
    finally:
        aws.close()
