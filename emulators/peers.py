"""A sample asking Domain and a sample Wallet in one process, the other side of every message.

Both:     GET  /healthz
          POST /<name>/inbox        verifies, drops copies, answers as the protocol says
          GET  /<name>/messages     [{received_at, verified, problem, duplicate, status, message}], oldest first
          POST /<name>/respond      {"status": 500, "count": 2, "delay_seconds": 0, "retry_after": null}
Domain:   POST /<domain>/ask        {"inbox": URL, "to": "id.example", "locator", "purpose"?, "correlation"?,
                                     "generation": "nlweb" | "pollyweb", "copies": 1, "forge": false}
                                    → {correlation, sent_at, answers: [{status, body, seconds}]}
          GET  /<domain>/answer/<correlation>?wait_seconds=30    → {received_at, from, body}; 404 if none came
          POST /<domain>/say        {"inbox", "to", "subject", "body", "correlation"?}, any message, signed
                                    → {correlation, answer}
          POST /<domain>/call       {"inbox", "to", "citizen", "function": "Liveness"} → {hook, answer}
          GET  /<domain>/handled/<hook>?wait_seconds=30          → what its Handled@Talker said
Wallet:   POST /<wallet>/behave     {"wallet": id, "shows_up": true, "face": "alice", "confidence": 98.5,
                                     "think_seconds": 0.2, "done": true, "status": "SUCCEEDED", "faces": 1,
                                     "reference_image": true, "reads_seconds": 0, "steps": 0,
                                     "authenticator"?: base32, "knows"?: text}
                                    `steps`: how much more of what the page asks for is done after the first check
          POST /<wallet>/invite     {"inbox", "to", "biostamp", "wallet": id, "purpose"?, "correlation"?, "context"?}
                                    as its broker, into a new chat → {correlation, chat, status}
          GET  /<wallet>/answer/<correlation>                    as above, to an invitation
          POST /<wallet>/visit      {"url", "wallet": id}        the person opens an address that somebody shows
          GET  /<wallet>/popups     the story of each pop-up: moments, seconds for each step, problem
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import click
import orjson
from aiohttp import web

from emulators import json_fields
from emulators.broker import Broker
from emulators.certificates import CA_FILE
from emulators.domain import AskingDomain
from emulators.envelopes import MalformedMessageError
from emulators.json_fields import FieldError
from emulators.keys_over_dns import Resolver
from emulators.mailbox import rehearsed_from
from emulators.wallet import Wallet
from emulators.world import WorldError, make_key, publish_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from emulators.answers import Answers

_MOST_BODY_BYTES = 1024 * 1024
_CLIENT_TIMEOUT_SECONDS = 30.0
_MOST_WAIT_SECONDS = 600.0
_SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How the process was started; `advertise` is the base URL under which others reach it."""

    world: Path
    resolver: Resolver
    advertise: str
    domains: tuple[str, ...]
    rsa_domains: tuple[str, ...]
    wallets: tuple[str, ...]
    aws_url: str


class Peers:
    """All peers of the process and the HTTP routes that lead to them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._domains: dict[str, AskingDomain] = {}
        self._wallets: dict[str, Wallet] = {}

    def application(self) -> web.Application:
        """The HTTP application; peers come to be when it starts."""
        application = web.Application(client_max_size=_MOST_BODY_BYTES, middlewares=[_say_what_is_wrong])
        application.cleanup_ctx.append(self._live)
        application.add_routes(
            [
                web.get("/healthz", self._health),
                web.post("/{name}/inbox", self._inbox),
                web.get("/{name}/messages", self._messages),
                web.post("/{name}/respond", self._respond),
                web.post("/{name}/ask", self._ask),
                web.get("/{name}/answer/{correlation}", self._answer),
                web.post("/{name}/say", self._say),
                web.post("/{name}/call", self._call),
                web.get("/{name}/handled/{correlation}", self._handled),
                web.post("/{name}/invite", self._invite),
                web.post("/{name}/visit", self._visit),
                web.post("/{name}/behave", self._behave),
                web.get("/{name}/popups", self._popups),
            ]
        )
        return application

    async def _live(self, _: web.Application) -> AsyncIterator[None]:
        options = self._options
        timeout = aiohttp.ClientTimeout(total=_CLIENT_TIMEOUT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, ssl=_trust(options.world))
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            for name in (*options.domains, *options.rsa_domains):
                key = make_key("rsa" if name in options.rsa_domains else "ed25519")
                selector = publish_key(options.world, name, key, f"{options.advertise}/{name}/inbox")
                self._domains[name] = AskingDomain(name, key, selector, options.resolver, session)
            for name in options.wallets:
                key = make_key()
                selector = publish_key(options.world, name, key, f"{options.advertise}/{name}/inbox")
                broker = Broker(name, key, selector, session)
                self._wallets[name] = Wallet(name, options.resolver, options.aws_url, session, broker)
            yield
            for wallet in self._wallets.values():
                await wallet.close()

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"domains": sorted(self._domains), "wallets": sorted(self._wallets)})

    async def _inbox(self, request: web.Request) -> web.Response:
        status, headers, problem = await self._peer(request).mailbox.receive(await request.read())
        return _json({"error": problem} if problem else {}, status, headers)

    async def _messages(self, request: web.Request) -> web.Response:
        return _json(self._peer(request).mailbox.listing())

    async def _respond(self, request: web.Request) -> web.Response:
        self._peer(request).mailbox.rehearse(rehearsed_from(json_fields.read_object(await request.read())))
        return _json({})

    async def _ask(self, request: web.Request) -> web.Response:
        return _json(await self._domain(request).ask(json_fields.read_object(await request.read())))

    async def _answer(self, request: web.Request) -> web.Response:
        return await self._awaited(request, self._peer(request).answers)

    async def _handled(self, request: web.Request) -> web.Response:
        return await self._awaited(request, self._domain(request).handled)

    async def _awaited(self, request: web.Request, answers: Answers) -> web.Response:
        try:
            wait_seconds = float(request.query.get("wait_seconds", "0"))
        except ValueError:
            raise FieldError("wait_seconds: a number is expected") from None
        if not 0 <= wait_seconds <= _MOST_WAIT_SECONDS:
            raise FieldError(f"wait_seconds: not within 0..{_MOST_WAIT_SECONDS:g}")
        correlation = request.match_info["correlation"]
        answer = await answers.wait(correlation, wait_seconds)
        if answer is None:
            return _json({"error": f"no answer to {correlation} within {wait_seconds:g} s"}, 404)
        return _json(answer)

    async def _say(self, request: web.Request) -> web.Response:
        return _json(await self._domain(request).say(json_fields.read_object(await request.read())))

    async def _call(self, request: web.Request) -> web.Response:
        return _json(await self._domain(request).call(json_fields.read_object(await request.read())))

    async def _invite(self, request: web.Request) -> web.Response:
        return _json(await self._wallet(request).broker.invite(json_fields.read_object(await request.read())))

    async def _visit(self, request: web.Request) -> web.Response:
        return _json(self._wallet(request).visit(json_fields.read_object(await request.read())))

    async def _behave(self, request: web.Request) -> web.Response:
        return _json(self._wallet(request).behave(json_fields.read_object(await request.read())))

    async def _popups(self, request: web.Request) -> web.Response:
        return _json(self._wallet(request).listing())

    def _peer(self, request: web.Request) -> AskingDomain | Wallet:
        name = request.match_info["name"].lower()
        return self._domains.get(name) or self._wallet(request)

    def _domain(self, request: web.Request) -> AskingDomain:
        name = request.match_info["name"].lower()
        if name not in self._domains:
            raise web.HTTPNotFound(text=f"no domain {name} here")
        return self._domains[name]

    def _wallet(self, request: web.Request) -> Wallet:
        name = request.match_info["name"].lower()
        if name not in self._wallets:
            raise web.HTTPNotFound(text=f"no wallet {name} here")
        return self._wallets[name]


@web.middleware
async def _say_what_is_wrong(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer bad orders with one line of JSON."""
    try:
        return await handler(request)
    except (FieldError, MalformedMessageError) as error:
        return _json({"error": str(error)}, 400)
    except web.HTTPException as error:
        return _json({"error": error.text or error.reason}, error.status)


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, headers=headers, content_type="application/json")


def _trust(world: Path) -> ssl.SSLContext:
    """The usual authorities, and the world's own if it has one."""
    context = ssl.create_default_context()
    if (world / CA_FILE).exists():
        context.load_verify_locations(world / CA_FILE)
    return context


def _lower(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names))


def _resolver(_: click.Context, __: click.Parameter, address: str) -> Resolver:
    try:
        return Resolver.at(address)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--world", required=True, type=click.Path(file_okay=False, path_type=Path), help="The world folder.")
@click.option("--dns", "resolver", required=True, callback=_resolver, help="host:port of the world's resolver.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", required=True, type=click.IntRange(1, 65535))
@click.option("--advertise", help="Base URL under which others reach this process; http://HOST:PORT by default.")
@click.option("--domain", "domains", multiple=True, callback=_lower, help="An asking domain with an Ed25519 key.")
@click.option("--rsa-domain", "rsa_domains", multiple=True, callback=_lower, help="One with an RSA-2048 key.")
@click.option("--wallet", "wallets", multiple=True, callback=_lower, help="A wallet provider's domain.")
@click.option("--aws", "aws_url", required=True, help="URL of the emulated AWS, whose camera the persons use.")
def main(
    *,
    world: Path,
    resolver: Resolver,
    host: str,
    port: int,
    advertise: str | None,
    domains: tuple[str, ...],
    rsa_domains: tuple[str, ...],
    wallets: tuple[str, ...],
    aws_url: str,
) -> None:
    """Run sample Domains and Wallets until SIGTERM or SIGINT."""
    base = (advertise or f"http://{host}:{port}").rstrip("/")
    # A name may be given as --domain and as --rsa-domain: the stronger wish about its key wins.
    ed25519_domains = tuple(name for name in domains if name not in rsa_domains)
    options = Options(world, resolver, base, ed25519_domains, rsa_domains, wallets, aws_url)
    try:
        web.run_app(
            Peers(options).application(),
            host=host,
            port=port,
            print=lambda _: click.echo(f"peers: ready on http://{host}:{port}"),
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
    except (OSError, WorldError) as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
