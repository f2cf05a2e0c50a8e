"""A foreign client of the PollyWeb generation, made with the PyPI package ``pollyweb``, joins by the world folder."""

import asyncio
import hashlib
import json
import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import dns.resolver
import pollyweb
import pollyweb.dns
import pytest

from bench.load import SUCCESS, Load
from cli.peers import Peers
from cli.ports import free_ports
from tests.e2e.conftest import Running

FOREIGN = "any-host.example"


@pytest.fixture
def inbox() -> Iterator[tuple[str, "Queue[bytes]"]]:
    """The foreign domain's own inbox: its URL, and what is posted to it."""
    posted: Queue[bytes] = Queue()

    class Inbox(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    (port,) = free_ports(1)
    server = ThreadingHTTPServer(("127.0.0.1", port), Inbox)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{port}/inbox", posted
    server.shutdown()


@pytest.fixture
def local_dns(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the package ask the world's resolver: it makes a new resolver for each question and has no setting."""
    address, port = running.workbench.system.dns.split(":")

    class Local(dns.resolver.Resolver):
        def __init__(self, filename: str = "", configure: bool = True) -> None:
            super().__init__(configure=False)
            self.nameservers, self.port = [address], int(port)

    monkeypatch.setattr(dns.resolver, "Resolver", Local)
    monkeypatch.setattr(pollyweb.dns, "DNSSEC_FALLBACK_NAMESERVERS", [])


@pytest.mark.usefixtures("local_dns")
def test_its_message_is_accepted_and_our_answer_is_verified_by_it(
    running: Running, inbox: tuple[str, "Queue[bytes]"]
) -> None:
    """The package signs, our inbox takes it; we answer in its generation, and the package verifies over DNS."""
    url, posted = inbox
    keys = pollyweb.KeyPair()
    world = running.workbench.world / f"{FOREIGN}.json"
    world.write_text(json.dumps({"secure": True, "keys": {"pw1": keys.dkim()}, "inbox": url}))

    async def work(load: Load, _peers: Peers) -> str:
        await load.enrol((SUCCESS,))
        return load.locator(SUCCESS)

    locator = running.drive(work)
    body = {"Locator": locator}
    asked = _signed(keys, _asking(FOREIGN, running.demo.domain, body))
    request = Request(running.demo.inbox, json.dumps(asked.to_dict()).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=10) as response:
        assert response.status == 200

    answer = pollyweb.Msg.parse(posted.get(timeout=30))
    details = answer.verify_details(expected_from=running.demo.domain, expected_to=FOREIGN)
    assert details.dns_lookup_used
    assert answer.Subject == "LocatorVerified@Domain"
    told = answer.to_dict()["Body"]
    own = {"Nonce", "Expires"}
    assert own <= set(told)
    assert {name: value for name, value in told.items() if name not in own} == {
        "Request": asked.Correlation,
        "Locator": locator,
        "Result": "SUCCESS",
    }


def _asking(sender: str, receiver: str, body: dict[str, str]) -> Any:
    return pollyweb.Msg(From=sender, To=receiver, Subject="VerifyLocator@Identity", Selector="pw1", Body=body)


def _signed(keys: Any, message: Any) -> Any:
    """Sign as the package does; its own ``sign_with`` fails with a NameError in 1.0.96."""
    canonical = message.canonical()
    signature = b64encode(keys.PrivateKey.sign(canonical)).decode()
    return replace(message, Hash=hashlib.sha256(canonical).hexdigest(), Signature=signature)


def test_the_world_file_of_a_domain_is_read_again_when_it_changes(
    running: Running, inbox: tuple[str, "Queue[bytes]"]
) -> None:
    """A key that was not there is refused 401; once it is written, the next message is taken."""
    domain = "latecomer.example"
    keys = pollyweb.KeyPair()
    message = _signed(keys, _asking(domain, running.demo.domain, {"Locator": "none"}))
    wire = json.dumps(message.to_dict()).encode()
    assert asyncio.run(_post(running.demo.inbox, wire)) == 401
    world = running.workbench.world / f"{domain}.json"
    world.write_text(json.dumps({"secure": True, "keys": {"pw1": keys.dkim()}, "inbox": inbox[0]}))
    assert asyncio.run(_until_taken(running.demo.inbox, wire)) == 200


async def _until_taken(url: str, wire: bytes) -> int:
    # What is not there is remembered for some seconds, so that a forger cannot make us ask without end.
    async with asyncio.timeout(20):
        while (status := await _post(url, wire)) == 401:  # noqa: ASYNC110 - a file is watched from the other side
            await asyncio.sleep(0.5)
    return status


async def _post(url: str, wire: bytes) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=wire) as response:
        return response.status
