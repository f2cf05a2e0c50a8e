"""A process may have one part of a service alone."""

import pytest

from services.async_post.app import build as build_post
from services.async_post.settings import AsyncPostSettings
from services.inbox.app import build as build_inbox
from services.inbox.settings import InboxSettings
from shared.errors import ConfigurationError
from shared.service import Service
from shared.settings import load

AROUND = {"FACESCAN_DOMAIN": "id.example", "FACESCAN_KAFKA_BOOTSTRAP": "127.0.0.1:1"}


def inbox(**settings: str) -> Service:
    return build_inbox(load(InboxSettings, AROUND | settings))


def post(**settings: str) -> Service:
    return build_post(load(AsyncPostSettings, AROUND | settings))


def test_the_door_alone_reads_nothing() -> None:
    assert not inbox(FACESCAN_INBOX_ROLES="door").groups


def test_the_router_alone_reads_the_log_and_listens_nowhere() -> None:
    router = inbox(FACESCAN_INBOX_ROLES="router")
    assert set(router.groups) == {"facescan.inbox.router"}
    assert not router.listens


def test_the_whole_inbox_does_both() -> None:
    both = inbox()
    assert set(both.groups) == {"facescan.inbox.router"}
    assert both.listens


@pytest.mark.parametrize(
    ("roles", "groups"),
    [
        ("signer", {"signer"}),
        ("sender", {"sender"}),
        ("signer,delayer", {"signer", "delayer"}),
        ("signer,sender,delayer", {"signer", "sender", "delayer"}),
    ],
)
def test_async_post_reads_for_the_parts_that_it_has(roles: str, groups: set[str]) -> None:
    assert set(post(FACESCAN_POST_ROLES=roles).groups) == {f"facescan.async_post.{name}" for name in groups}


@pytest.mark.parametrize("roles", ["", "signer,", "signer, sender", "postman"])
def test_an_unknown_part_is_refused_with_those_that_there_are(roles: str) -> None:
    with pytest.raises(ConfigurationError, match=r"FACESCAN_POST_ROLES.*is no role; there are signer, sender, delayer"):
        post(FACESCAN_POST_ROLES=roles)
