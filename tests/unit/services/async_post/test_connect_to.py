"""Where a domain's inbox is, by the protocol and by a development's folder."""

import json
import os
import ssl
from pathlib import Path

import pytest

from emulators.certificates import make_authority
from services.async_post.connect_to import ConnectTo, Destinations, PublicDestinations
from shared.generation import Generation
from shared.outbound import OutboundError, Trouble

NLWEB, POLLYWEB = Generation.NLWEB, Generation.POLLYWEB


def write(folder: Path, text: str, moment: int) -> None:
    """Write shop.example's file as if it were ``moment`` seconds since the epoch."""
    path = folder / "shop.example.json"
    path.write_text(text)
    os.utime(path, (moment, moment))


def url(destinations: Destinations, receiver: str, generation: Generation) -> str:
    target = destinations.target(receiver, generation)
    return f"{'https' if target.tls else 'http'}://{target.authority}{target.path}"


def test_each_generation_has_its_host() -> None:
    assert url(PublicDestinations(), "shop.example", NLWEB) == "https://nlweb.shop.example/inbox"
    assert url(PublicDestinations(), "shop.example", POLLYWEB) == "https://pw.shop.example/inbox"


def test_a_domain_s_file_names_its_inbox_for_both_generations(tmp_path: Path) -> None:
    write(tmp_path, json.dumps({"inbox": "http://127.0.0.1:9000/inbox"}), 1)
    destinations = ConnectTo(tmp_path)
    for generation in Generation:
        assert url(destinations, "shop.example", generation) == "http://127.0.0.1:9000/inbox"


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    destinations = ConnectTo(tmp_path)
    for number in (1, 2):
        write(tmp_path, json.dumps({"inbox": f"http://127.0.0.1:900{number}/inbox"}), number)
        assert url(destinations, "shop.example", NLWEB) == f"http://127.0.0.1:900{number}/inbox"
    (tmp_path / "shop.example.json").unlink()
    assert url(destinations, "shop.example", NLWEB) == "https://nlweb.shop.example/inbox"


def test_a_domain_without_a_file_has_the_protocol_s_inbox(tmp_path: Path) -> None:
    assert url(ConnectTo(tmp_path), "shop.example", POLLYWEB) == "https://pw.shop.example/inbox"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "{}", '{"keys": {}}', "\x00"])
def test_a_file_that_names_no_inbox_leaves_the_protocol_s(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, 1)
    assert url(ConnectTo(tmp_path), "shop.example", NLWEB) == "https://nlweb.shop.example/inbox"


@pytest.mark.parametrize("inbox", [None, 7, ["http://x/"], {}, ""])
def test_an_inbox_that_is_no_text_leaves_the_protocol_s(tmp_path: Path, inbox: object) -> None:
    write(tmp_path, json.dumps({"inbox": inbox}), 1)
    assert url(ConnectTo(tmp_path), "shop.example", NLWEB) == "https://nlweb.shop.example/inbox"


@pytest.mark.parametrize(
    "receiver", ["10.0.0.1", "localhost", "a..b", "shop.example/x", "shop.example:22", "a@b.example", ""]
)
def test_what_is_no_domain_name_gets_no_address(receiver: str) -> None:
    with pytest.raises(OutboundError) as caught:
        PublicDestinations().target(receiver, NLWEB)
    assert caught.value.trouble is Trouble.URL


def test_the_folder_s_authority_is_trusted_beside_the_public_ones(tmp_path: Path) -> None:
    plain, world = ssl.create_default_context(), ssl.create_default_context()
    ConnectTo(tmp_path).trust(plain)
    make_authority(tmp_path)
    ConnectTo(tmp_path).trust(world)
    assert len(world.get_ca_certs()) == len(plain.get_ca_certs()) + 1
