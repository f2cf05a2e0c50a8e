"""Our manifest: what a file may say, and how it is answered."""

import json
from pathlib import Path

import aiohttp
import pytest

from services.inbox.endpoint_map import MANIFEST_ROUTE
from services.inbox.front import front_door
from services.inbox.intake import Intake
from services.inbox.manifest import OwnManifest, default_manifest, read_manifest
from services.inbox.manifests import buffer_in, manifest_request
from shared.envelope import parse
from shared.errors import ConfigurationError
from shared.generation import Generation
from tests.support.recording import RecordingPublisher
from tests.unit.services.inbox.doors import settings
from tests.unit.services.inbox.messages import (
    DOMAIN,
    MAP,
    MOMENT,
    ScriptedResolver,
    as_bytes,
    message,
    no_reply,
    opener,
)


def write(folder: Path, text: str) -> Path:
    path = folder / "manifest.json"
    path.write_text(text)
    return path


async def test_the_reply_has_the_envelope_of_a_synchronous_reply_and_a_client_reads_it(tmp_path: Path) -> None:
    from pollyweb.manifest import Manifest as TheirManifest  # noqa: PLC0415 - a foreign client of the other generation

    about = {"Domain": DOMAIN, "Title": "An identity", "Feedback": "buffer.example"}
    path = write(tmp_path, json.dumps({"🤝": "pollyweb.org/MANIFEST:1.0", "About": about, "Offer": [{"Code": "/x"}]}))
    own = OwnManifest(read_manifest(path, DOMAIN), domain=DOMAIN, clock=lambda: MOMENT)
    reply = json.loads(await own.reply(MANIFEST_ROUTE, parse(as_bytes(message(Subject="Manifest@Domain"))), b""))
    assert set(reply) == {"Meta", "Request", "Response"}
    assert reply["Request"]["Header"]["Subject"] == "Manifest@Domain"
    assert TheirManifest.parse(reply["Response"]).About["Title"] == "An identity"
    assert json.loads(own.page) == reply["Response"]


def test_without_a_file_it_says_the_name_alone() -> None:
    document = default_manifest(DOMAIN).document()
    assert document == {"🤝": "pollyweb.org/MANIFEST:1.0", "About": {"Domain": DOMAIN, "Language": "en-us"}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[]", "the document: "),
        ("{}", "About: Field required"),
        ('{"About": {"Domain": "other.example"}}', "About.Domain: 'other.example' is not this domain"),
        ('{"About": {"Domain": "identity.example", "SmallIcon": "x"}}', "About.SmallIcon: "),
        ('{"About": {"Domain": "identity.example"}, "Offer": [1]}', "Offer.0: "),
        ('{"🤝": "x", "About": {"Domain": "identity.example"}}', "🤝: "),
    ],
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        read_manifest(path, DOMAIN)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_anybody_gets_the_manifest_over_http_by_message_and_by_address(publisher: RecordingPublisher) -> None:
    """Unsigned from Anonymous, as a client of the PollyWeb generation asks; nothing is stored."""
    own = OwnManifest(default_manifest(DOMAIN), domain=DOMAIN, clock=lambda: MOMENT)
    door = Intake(MAP, publisher, manifest=own.reply, synchronous=no_reply)
    server = front_door(settings(), opener(ScriptedResolver()), door, manifest=own.page, port=0)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            for generation in Generation:
                data = manifest_request(DOMAIN, generation, MOMENT)
                async with http.post(f"http://{server.address}/inbox", data=data) as answer:
                    assert answer.status == 200
                    assert (await answer.json())["Response"]["About"]["Domain"] == DOMAIN
            async with http.get(f"http://{server.address}/manifest") as answer:
                assert (answer.status, (await answer.json())["About"]["Domain"]) == (200, DOMAIN)
            async with http.post(f"http://{server.address}/manifest", data=b"{}") as answer:
                assert answer.status == 405
    finally:
        await server.stop()
    assert publisher.sent == []


@pytest.mark.parametrize(
    ("answer", "buffer"),
    [
        (b'{"Response": {"About": {"Domain": "shop.example", "Feedback": "buffer.example"}}}', "buffer.example"),
        (b'{"About": {"Feedback": "buffer.example"}}', "buffer.example"),
        (b'{"About": {"Domain": "other.example", "Feedback": "buffer.example"}}', None),
        (b'{"About": {"Feedback": "a.example", "Feedback": "b.example"}}', None),
        (b'{"About": {"Feedback": "buffer.example"}, "Deep": ' + b"[" * 40 + b"]" * 40 + b"}", None),
        (b'{"About": {"Feedback": "buffer.example"}, "Full": [' + b"0," * 20_000 + b"0]}", None),
        (b"no JSON", None),
    ],
)
def test_another_domains_manifest_names_a_buffer_only_within_bounds_and_once(answer: bytes, buffer: str | None) -> None:
    assert buffer_in(answer, "shop.example") == buffer
