"""The endpoint map: which route a subject takes, and what is said of a file that cannot be used."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.inbox.domain import SenderKind
from services.inbox.endpoint_map import EndpointMap, read_endpoint_map
from services.inbox.endpoint_reload import DEFAULT_FILE, CurrentMap
from shared.errors import ConfigurationError
from tests.support.readers import until

ENDPOINTS = """
version = 1
[endpoints.a]
kind = "http"
url = "http://127.0.0.1:9/a"
[endpoints.b]
kind = "topic"
topic = "acme.messages"
[endpoints.c]
kind = "sync"
url = "https://c.internal/reply"
[endpoints.d]
kind = "sync"
url = "https://d.internal/reply"
"""


def route(subject: str, to: str = '["a"]', more: str = "") -> str:
    return f'[[routes]]\nsubject = "{subject}"\nto = {to}\n{more}\n'


def read(folder: Path, text: str) -> EndpointMap:
    path = folder / "map.toml"
    path.write_text(text)
    return read_endpoint_map(path)


def chosen(endpoints: EndpointMap, subject: str) -> str | None:
    found = endpoints.find(subject)
    return found.pattern if found is not None else None


def test_the_default_takes_verify_locator_from_domains_alone() -> None:
    endpoints = read_endpoint_map(DEFAULT_FILE)
    found = endpoints.find("VerifyLocator@Identity")
    assert found is not None
    assert list(found.endpoints) == ["verification"]
    assert found.senders == {SenderKind.DOMAIN}
    assert endpoints.find("Prompted@Host") is None


def test_the_manifest_is_answered_to_anybody_whatever_the_map_says(tmp_path: Path) -> None:
    found = read(tmp_path, ENDPOINTS + route("*")).find("Manifest@Domain")
    assert found is not None
    assert found.senders == set(SenderKind)
    assert not found.endpoints


def test_the_most_exact_route_wins_and_a_higher_priority_before_it(tmp_path: Path) -> None:
    text = ENDPOINTS + route("*") + route("*@Host") + route("Reply@Host") + route("Stop@*", more="priority = 5")
    endpoints = read(tmp_path, text)
    assert chosen(endpoints, "Reply@Host") == "Reply@Host"
    assert chosen(endpoints, "Other@Host") == "*@Host"
    assert chosen(endpoints, "Other@Role") == "*"
    assert chosen(endpoints, "Stop@Host") == "Stop@*"


def test_a_route_may_have_several_endpoints_of_which_one_replies(tmp_path: Path) -> None:
    found = read(tmp_path, ENDPOINTS + route("A@B", '["a", "b", "c"]', 'senders = ["wallet"]')).find("A@B")
    assert found is not None
    assert list(found.endpoints) == ["a", "b"]
    assert found.replies is not None
    assert found.replies[0] == "c"
    assert found.senders == {SenderKind.WALLET}


def test_two_wildcards_that_meet_may_be_told_apart_by_an_exact_route(tmp_path: Path) -> None:
    text = ENDPOINTS + route("*@Host") + route("Reply@*") + route("Reply@Host")
    assert chosen(read(tmp_path, text), "Reply@Host") == "Reply@Host"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = ", "no TOML: Invalid value (at end of document)"),
        ("version = 1\nx = = 2", "line 2"),
        ("version = 2\n" + route("*"), "version: Input should be 1"),
        (ENDPOINTS, "routes: Field required"),
        (ENDPOINTS + route("*", '["z"]'), "routes[0].to[0]: there is no endpoint 'z'"),
        (ENDPOINTS + route("*", '["a", "a"]'), "routes[0].to: an endpoint stands twice"),
        (ENDPOINTS + route("*", '["c", "d"]'), "routes[0].to: a message has one reply"),
        (ENDPOINTS + route("no subject"), "routes[0].subject: 'no subject' is not of the right form (Method@Role"),
        (ENDPOINTS + route("A@B", more="colour = 1"), "routes[0].colour: there is no such key"),
        (ENDPOINTS + route("Manifest@Domain"), "Manifest@Domain is answered by the inbox"),
        (ENDPOINTS + route("*@B") + route("A@*"), "routes[1].subject: A@* and *@B (routes[0]) both match A@B"),
        (ENDPOINTS + route("A@B") + route("A@B"), "routes[1].subject: A@B and A@B (routes[0]) both match A@B"),
        (ENDPOINTS.replace("http://127.0.0.1:9/a", "ftp://x") + route("*"), "endpoints.a.url: no URL of the form"),
        (ENDPOINTS.replace("http://127.0.0.1:9/a", "http://u:p@x/") + route("*"), "endpoints.a.url: a URL with a pass"),
        (ENDPOINTS.replace('"topic"', '"queue"') + route("*"), "endpoints.b: kind: there are topic, http and sync"),
        (ENDPOINTS.replace("acme.messages", "facescan.x") + route("*"), "endpoints.b: topic: facescan's own topics"),
        (ENDPOINTS.replace('topic = "acme.messages"', 'event = "x.v1"') + route("*"), "no message becomes 'x.v1'"),
        (ENDPOINTS.replace('topic = "acme.messages"', "") + route("*"), "endpoints.b: give either event or topic"),
        (ENDPOINTS + route("*").replace('"a"', '"A!"'), "routes[0].to[0]: 'A!' is not of the right form"),
        (ENDPOINTS + 'bearer_file = "nowhere/token"\n' + route("*"), "bearer_file: no file nowhere/token"),
    ],
)
def test_a_broken_file_is_refused_in_one_line_that_names_the_file_and_the_place(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'map.toml'}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        read_endpoint_map(tmp_path / "none.toml")


def test_a_changed_file_is_used_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(ENDPOINTS + route("A@B"))
    current = CurrentMap(path)
    before = current.map.digest
    path.write_text("broken")
    assert not current.read_again()
    assert current.map.digest == before
    path.write_text(ENDPOINTS + route("C@D"))
    assert current.read_again()
    assert current.find("A@B") is None
    assert current.find("C@D") is not None


async def test_sighup_has_the_file_read_at_once_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(ENDPOINTS + route("A@B"))
    current = CurrentMap(path, look_seconds=3600.0)
    digests: list[str] = []
    current.on_change(lambda new: digests.append(new.digest))
    await current.start()
    try:
        path.write_text(ENDPOINTS + route("C@D"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: current.find("C@D"))
        path.write_text("broken")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.1)
        path.write_text(ENDPOINTS + route("E@F"))
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: current.find("E@F"))
        assert len(set(digests)) == len(digests) == 3
    finally:
        await current.stop()


async def test_a_running_inbox_notices_a_changed_file_and_keeps_the_map_when_it_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(ENDPOINTS + route("A@B"))
    current = CurrentMap(path, look_seconds=0.05)
    seen: list[str] = []
    current.on_change(lambda new: seen.append(new.digest))
    await current.start()
    try:
        path.write_text(ENDPOINTS + route("C@D") + route("E@F"))
        await until(lambda: current.find("C@D"))
        path.unlink()
        await asyncio.sleep(0.2)
        assert current.find("C@D") is not None
        assert len(seen) == 2
    finally:
        await current.stop()
