"""Who may ask, and where each is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.clients import (
    Clients,
    add,
    check_url,
    end_rotation,
    move_webhook,
    parse_clients,
    remove,
    rotate_secret,
    rotate_token,
)
from shared.errors import ConfigurationError

URL = "https://hooks.bank.example/facescan"
names = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?\Z")


@given(st.lists(names, unique=True, max_size=5))
def test_every_client_is_known_by_its_own_token_alone(wanted: list[str]) -> None:
    clients, tokens = Clients(), {}
    for name in wanted:
        clients, tokens[name], _ = add(clients, name, URL)
    again = parse_clients(clients.to_text(), "here")
    assert again == clients
    for name, token in tokens.items():
        assert again.authentic(token) == name
        assert again.authentic(token[:-1]) is None
        assert token not in again.to_text()
    assert again.authentic("") is None


def test_the_token_before_is_good_until_the_rotation_ends_and_an_older_one_is_not() -> None:
    clients, first, _ = add(Clients(), "bank", None)
    clients, second = rotate_token(clients, "bank")
    assert clients.authentic(first) == clients.authentic(second) == "bank"
    clients, third = rotate_token(clients, "bank")
    assert [clients.authentic(one) for one in (first, second, third)] == [None, "bank", "bank"]
    clients = end_rotation(clients, "bank")
    assert [clients.authentic(one) for one in (second, third)] == [None, "bank"]


def test_two_secrets_sign_until_the_rotation_ends() -> None:
    clients, _, first = add(Clients(), "bank", URL)
    clients, second = rotate_secret(clients, "bank")
    assert clients.clients["bank"].webhook is not None
    assert clients.clients["bank"].webhook.secrets == (first, second)
    webhook = end_rotation(clients, "bank").webhook("bank")
    assert webhook is not None
    assert webhook.secrets == (second,)


def test_a_webhook_moves_with_its_secret_and_may_end_and_begin_again_with_another() -> None:
    clients, _, secret = add(Clients(), "bank", URL)
    clients, none = move_webhook(clients, "bank", URL + "/2")
    webhook = clients.webhook("bank")
    assert none is None
    assert webhook is not None
    assert (webhook.url, webhook.secrets) == (URL + "/2", (secret,))
    clients, _ = move_webhook(clients, "bank", None)
    assert clients.webhook("bank") is None
    clients, fresh = move_webhook(clients, "bank", URL)
    assert fresh not in (None, secret)


def test_a_removed_client_is_nobody() -> None:
    clients, token, _ = add(Clients(), "bank", URL)
    clients = remove(clients, "bank")
    assert clients.authentic(token) is None
    assert clients.webhook("bank") is None
    for change in (remove, end_rotation, rotate_token, rotate_secret):
        with pytest.raises(ConfigurationError, match="there is no client 'bank'"):
            change(clients, "bank")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.bank.example/",
        "https://hooks.bank.example:8443/",
        "https://user@hooks.bank.example/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://hooks.bank.example/#part",
        "https://hooks.bank.example/a b",
        "ftp://hooks.bank.example/",
        "hooks.bank.example",
        "https://[",
        "",
    ],
)
def test_a_webhook_goes_to_a_domain_name_over_https_at_its_own_port_or_nowhere(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the webhook's URL: "):
        check_url(url, anywhere=False)
    check_url(URL + "?of=us", anywhere=False)
    check_url("http://127.0.0.1:9000/", anywhere=True)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "the document"),
        ('{"clients": {"Bank": {"tokens": ["%s"]}}}' % ("a" * 64), "clients.Bank"),
        ('{"clients": {"bank": {"tokens": []}}}', "clients.bank.tokens"),
        ('{"clients": {"bank": {"tokens": ["in-the-wrong-place"]}}}', "clients.bank.tokens.0"),
        ('{"clients": {"bank": {"tokens": ["%s"], "more": 1}}}' % ("a" * 64), "clients.bank.more"),
        (
            '{"clients": {"bank": {"tokens": ["%s"], "webhook": {"url": "x", "secrets": ["in-the-wrong-place"]}}}}'
            % ("a" * 64),
            "clients.bank.webhook.secrets",
        ),
    ],
)
def test_a_document_that_cannot_be_used_is_named_by_its_place_and_never_repeated(text: str, where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_clients(text, "the secret")
    assert str(caught.value).startswith(f"the secret: {where}: ")
    assert "in-the-wrong-place" not in str(caught.value)
