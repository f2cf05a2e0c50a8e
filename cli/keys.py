"""``facescan keys``: the ring of signing keys."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cli.commands import Commands
from cli.connection import key_settings, open_aws
from cli.output import emit, json_option, table
from services.async_post import ring as rings
from services.async_post.key_settings import DnsPublisher, KeySettings
from services.async_post.records import record_names, revoked, zone_file_line
from services.async_post.ring import Ring, RingError, RingKey, State
from services.async_post.ring_store import RingChangedError, RingStore
from services.async_post.rotation import Progress, Rotator
from services.async_post.rotation_parts import rotator
from services.async_post.timing import Step, next_step
from shared.core_dumps import forbid_core_dumps
from shared.errors import ConfigurationError
from shared.keys import KeyRecordError, SigningKey
from shared.stores import Aws

T = TypeVar("T")

_MOST_PEM_BYTES: Final = 65_536
_TRIES: Final = 5


@click.group(cls=Commands)
def keys() -> None:
    """List, rotate, retire or import the keys that messages are signed with.

    A key goes made, published, active, retiring, retired. Private halves stay in Secrets Manager; none is ever printed.
    """
    forbid_core_dumps()


@keys.command("list")
@json_option
def list_keys(as_json: bool) -> None:
    """List the keys, the oldest first, and what comes next."""

    async def read(settings: KeySettings, aws: Aws) -> tuple[KeySettings, Ring]:
        return settings, (await RingStore(aws, settings.signing_secret).read()).ring

    settings, ring = _run(read)
    what = next_step(ring, time.time(), settings.timing)
    rows = [_row(key) for key in ring.keys]
    coming = f"next: {what.step.value}" + (f" in {what.wait_seconds:.0f} s" if what.wait_seconds else "")
    lines = table([("selector", "kind", "state", "since"), *(_cells(row) for row in rows)])
    emit(
        {"keys": rows, "next": what.step.value, "wait_seconds": round(what.wait_seconds)},
        "\n".join([*lines, coming]) if rows else "no keys yet; make one with: facescan keys rotate",
        as_json=as_json,
    )


@keys.command()
@click.option(
    "--no-wait", is_flag=True, help="Do what can be done now; a running service, or the same command, goes on."
)
@json_option
def rotate(no_wait: bool, as_json: bool) -> None:
    """Make a new key, publish it, wait until the world sees it, and sign with it. The first key is made so too.

    It may be interrupted at any point and called again: it goes on where the last one stopped.

    \b
    Examples:
      facescan keys rotate
      FACESCAN_KEY_PUBLISHER=route53 FACESCAN_DNS_RESOLVER=127.0.0.1:53 facescan keys rotate --no-wait
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped

    async def work(settings: KeySettings, aws: Aws) -> tuple[str, State]:
        store, moves = RingStore(aws, settings.signing_secret), rotator(aws, settings)
        selector = await _begin(store, moves)
        while True:
            key = (await store.read()).ring.get(selector)
            if key is None or key.state not in (State.MADE, State.PUBLISHED):
                return selector, key.state if key else State.RETIRED
            if settings.key_publisher is DnsPublisher.BY_HAND and key.state is State.MADE and not as_json:
                _say_once("\n".join(("publish these records:", *_lines(key, settings))))
            progress = await moves.step()
            if not as_json:
                _tell(progress)
            if progress.done:
                continue
            if no_wait and progress.wait_seconds:
                return selector, key.state
            await asyncio.sleep(min(progress.wait_seconds, settings.key_look_seconds))

    selector, state = _run(work)
    emit({"selector": selector, "state": state.value}, f"{selector} is {state.value}", as_json=as_json)


@keys.command()
@click.argument("selector")
@click.option("--compromised", is_flag=True, help="Somebody may have the private half: revoke its records at once.")
@json_option
def retire(selector: str, compromised: bool, as_json: bool) -> None:
    """Sign with a key no more. The active key is followed by `rotate`; it is retired by itself only when compromised.

    --compromised empties `p=` in every branch of DNS at once; messages then wait until another key is active. Tools of
    PollyWeb do not see the selectors after an emptied one.
    """

    async def work(settings: KeySettings, aws: Aws) -> State:
        store = RingStore(aws, settings.signing_secret)

        def change(ring: Ring) -> Ring:
            key = ring.get(selector)
            if key is not None and key.state is State.ACTIVE and not compromised:
                raise ConfigurationError(f"{selector} is the active key: use facescan keys rotate, or --compromised")
            return rings.retire(ring, selector, time.time(), compromised=compromised)

        await _change(store, change)
        if compromised and settings.dns_resolver is not None:
            progress = await rotator(aws, settings).step()
            if not as_json and progress.why:
                _tell(progress)
        key = (await store.read()).ring.get(selector)
        if compromised and settings.key_publisher is DnsPublisher.BY_HAND and key is not None and not as_json:
            names = record_names(selector, settings.domain).values()
            lines = (zone_file_line(name, revoked(key.record), settings.key_record_ttl_seconds) for name in names)
            click.echo("\n".join(("publish these records at once:", *lines)), err=True)
        return key.state if key else State.RETIRED

    state = _run(work)
    emit({"selector": selector, "state": state.value}, f"{selector} is {state.value}", as_json=as_json)


@keys.command("import")
@click.option("--selector", required=True, help="The selector under which the key stands, or is to stand, in DNS.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key, PEM (PKCS#8, not encrypted); standard input when left out.",
)
@json_option
def import_key(selector: str, file: Path | None, as_json: bool) -> None:
    """Take in a key that was made elsewhere. The first key of an empty ring is active at once.

    \b
    Example:
      openssl genpkey -algorithm ed25519 | facescan keys import --selector pw1
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    try:
        pem = file.read_text() if file else sys.stdin.read(_MOST_PEM_BYTES)
        key = SigningKey.from_pem(selector, pem)
    except (OSError, UnicodeDecodeError, KeyRecordError) as error:
        why = str(error) if isinstance(error, KeyRecordError) else "cannot be read"
        raise ConfigurationError(f"{file or 'standard input'}: {why}") from None

    async def work(settings: KeySettings, aws: Aws) -> RingKey:
        store = RingStore(aws, settings.signing_secret)
        ring = await _change(store, lambda ring: rings.bring_in(ring, key, time.time()))
        return next(one for one in ring.keys if one.selector == selector)

    added = _run(work)
    emit(_row(added), f"{selector} is {added.state.value}", as_json=as_json)


# -- parts ---------------------------------------------------------------------------------------------------------


def _run(work: Callable[[KeySettings, Aws], Awaitable[T]]) -> T:
    async def main() -> T:
        settings = key_settings()
        async with _open(settings) as aws:
            try:
                return await work(settings, aws)
            except RingError as error:
                raise ConfigurationError(str(error)) from None

    return asyncio.run(main())


@asynccontextmanager
async def _open(settings: KeySettings) -> AsyncIterator[Aws]:
    aws = open_aws(settings)
    try:
        yield aws
    finally:
        aws.close()


async def _change(store: RingStore, change: Callable[[Ring], Ring]) -> Ring:
    for _ in range(_TRIES):
        old = await store.read()
        try:
            return (await store.write(old, change(old.ring))).ring
        except RingChangedError:
            continue
    raise RingChangedError


async def _begin(store: RingStore, moves: Rotator) -> str:
    """Return the selector of the key on its way; make one when there is none."""
    while True:
        coming = (await store.read()).ring.coming
        if coming is not None:
            return coming.selector
        progress = await moves.step(begin=True)
        if progress.done and progress.step is Step.MAKE:
            return progress.selector


def _row(key: RingKey) -> dict[str, Any]:
    since = max(key.made_at, key.published_at, key.active_at, key.retiring_at, key.retired_at)
    return {
        "selector": key.selector,
        "algorithm": key.algorithm,
        "state": key.state.value,
        "since": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "compromised": key.compromised,
        "record": key.record,
    }


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    state = row["state"] + (", compromised" if row["compromised"] else "")
    return row["selector"], row["algorithm"], state, row["since"]


def _lines(key: RingKey, settings: KeySettings) -> list[str]:
    names = record_names(key.selector, settings.domain).values()
    return [zone_file_line(name, key.record, settings.key_record_ttl_seconds) for name in names]


_said: set[str] = set()


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        click.echo(text, err=True)


def _tell(progress: Progress) -> None:
    if progress.done:
        click.echo(f"{progress.selector}: {progress.step.value}: done", err=True)
    else:
        why = f": {progress.why}" if progress.why else ""
        _say_once(f"{progress.selector}: {progress.step.value}: waiting{why}")
