"""``facescan dns``: our key records, as they should be and as the world sees them."""

import asyncio
from typing import Any

import click

from cli.commands import Commands
from cli.connection import key_settings, open_aws
from cli.output import emit, json_option, table
from services.async_post.key_settings import KeySettings
from services.async_post.records import record_names, revoked, zone_file_line
from services.async_post.ring import RingError, RingKey, State
from services.async_post.ring_store import RingStore
from services.async_post.rotation_parts import resolver_of
from services.async_post.world import Sight, World
from shared.core_dumps import forbid_core_dumps
from shared.errors import ConfigurationError
from shared.generation import Generation
from shared.resolver_probe import Finding, Validation, probe


@click.group(cls=Commands)
def dns() -> None:
    """Print our key records, or check what the world sees of them."""
    forbid_core_dumps()


@dns.command("print")
@json_option
def print_records(as_json: bool) -> None:
    """Print the records that must stand in DNS, as lines of a zone file."""
    settings, ring = asyncio.run(_read())
    records: list[dict[str, Any]] = [
        {"name": name, "ttl": settings.key_record_ttl_seconds, "text": _wanted(key, generation)}
        for key in ring
        for generation, name in record_names(key.selector, settings.domain).items()
    ]
    lines = [zone_file_line(record["name"], record["text"], record["ttl"]) for record in records]
    emit(records, "\n".join(lines) or "no keys yet; make one with: facescan keys rotate", as_json=as_json)


@dns.command()
@json_option
def check(as_json: bool) -> int:
    """Look at every record through the validating resolver, and hold it against the private half.

    seen: DNSSEC-validated and the key's own. Exit code 1 when the record of a key that signs, or is about to stop, is
    anything else, or when a compromised key's is not revoked or absent; and when the resolver is seen not to validate.
    With FACESCAN_DNS_BOGUS_NAME (such as dnssec-failed.org) it can be proven that it does.
    """
    settings, ring = asyncio.run(_read())
    rows, resolver = asyncio.run(_look(settings, ring))
    wrong = sum(not row["right"] for row in rows)
    lines = table(
        [
            ("name", "key", "seen as", ""),
            *((r["name"], r["state"], r["sight"], "" if r["right"] else "WRONG") for r in rows),
        ]
    )
    found = {"validation": resolver.validation.value, "why": resolver.why}
    lines.append(f"{settings.dns_resolver}: validation {resolver.validation.value.replace('_', ' ')}: {resolver.why}")
    emit({"records": rows, "wrong": wrong, "resolver": found}, "\n".join(lines), as_json=as_json)
    return 1 if wrong or not rows or resolver.validation is Validation.DISPROVED else 0


async def _read() -> tuple[KeySettings, tuple[RingKey, ...]]:
    settings = key_settings()
    aws = open_aws(settings)
    try:
        return settings, (await RingStore(aws, settings.signing_secret).read()).ring.keys
    except RingError as error:
        raise ConfigurationError(str(error)) from None
    finally:
        aws.close()


def _wanted(key: RingKey, generation: Generation) -> str:
    emptied = key.compromised or (key.state is State.RETIRED and generation is Generation.NLWEB)
    return revoked(key.record) if emptied else key.record


async def _look(settings: KeySettings, ring: tuple[RingKey, ...]) -> tuple[list[dict[str, Any]], Finding]:
    resolver, rows = resolver_of(settings), []
    view = World(resolver)
    for key in ring:
        for seen in (await view.look(key.selector, settings.domain, key.record)).values():
            right = (
                seen.sight in (Sight.REVOKED, Sight.ABSENT)
                if key.compromised
                else seen.sight is Sight.SEEN or key.state not in (State.ACTIVE, State.RETIRING)
            )
            row = {"selector": key.selector, "state": key.state.value, "name": seen.name}
            rows.append({**row, "sight": seen.sight.value, "right": right})
    try:
        return rows, await probe(resolver, settings.domain, settings.dns_bogus_name)
    finally:
        await resolver.close()
