"""Settings that weaken a guard are refused where they would matter."""

import pytest

from services.async_post.settings import AsyncPostSettings
from services.inbox.key_cache import CacheBounds
from services.inbox.settings import InboxSettings
from services.session.settings import SessionSettings
from shared.errors import ConfigurationError
from shared.generation import Generation
from shared.settings import load

LEAST = {"FACESCAN_DOMAIN": "identity.example", "FACESCAN_KAFKA_BOOTSTRAP": "kafka:9092"}


@pytest.mark.parametrize("environment", [{}, {"FACESCAN_ENVIRONMENT": "production"}])
def test_other_destinations_than_dns_names_are_refused_outside_of_development(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="FACESCAN_DEVELOPMENT_CONNECT_TO") as caught:
        load(AsyncPostSettings, LEAST | environment | {"FACESCAN_DEVELOPMENT_CONNECT_TO": "/tmp/world"})
    assert "\n" not in str(caught.value)


def test_other_destinations_are_taken_in_development() -> None:
    settings = load(
        AsyncPostSettings,
        LEAST | {"FACESCAN_ENVIRONMENT": "development", "FACESCAN_DEVELOPMENT_CONNECT_TO": "/tmp/world"},
    )
    assert str(settings.development_connect_to) == "/tmp/world"


def test_private_networks_are_reached_in_production_only_when_named_twice() -> None:
    once = {"FACESCAN_OUTBOUND_ALLOWED_NETWORKS": "10.1.0.0/16, fd00::/8"}
    other = {"FACESCAN_OUTBOUND_ALLOWED_NETWORKS_AGAIN": "10.1.0.0/15"}
    for given in (once, {**other}):
        with pytest.raises(ConfigurationError, match="FACESCAN_OUTBOUND_ALLOWED_NETWORKS"):
            load(AsyncPostSettings, LEAST | given)
    twice = once | {"FACESCAN_OUTBOUND_ALLOWED_NETWORKS_AGAIN": "fd00::/8,10.1.0.0/16"}
    rules = load(AsyncPostSettings, LEAST | twice).address_rules
    assert rules.allows("10.1.2.3")
    assert rules.allows("fd00::1")
    assert not rules.allows("10.2.0.1")
    assert load(AsyncPostSettings, LEAST | {"FACESCAN_ENVIRONMENT": "development"} | once).address_rules.allows(
        "10.1.0.1"
    )
    assert not load(AsyncPostSettings, LEAST).address_rules.allows("10.1.0.1")


def test_receivers_are_spoken_to_as_configured_and_everybody_else_by_default() -> None:
    given = {"FACESCAN_RECEIVER_GENERATIONS": " Shop.example=pollyweb , bank.example = nlweb,*=pollyweb"}
    generations = load(AsyncPostSettings, LEAST | given).generations
    for receiver, spoken in (("shop.example", "pollyweb"), ("bank.example", "nlweb"), ("a.example", "pollyweb")):
        assert generations.of(receiver, None) == spoken
        assert generations.of(receiver, Generation.NLWEB) is Generation.NLWEB
    assert load(AsyncPostSettings, LEAST).generations.of("a.example", None) is Generation.NLWEB


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shop.example", "'shop.example' is not of the form domain=generation"),
        ("shop.example=nlweb,", "'' is not of the form domain=generation"),
        ("shop.example=NLWeb", "shop.example: 'NLWeb' is no generation; there are nlweb, pollyweb"),
        ("shop.example=", "shop.example: '' is no generation"),
        ("*.example=nlweb", "'*.example' is no domain name"),
        ("a.example=nlweb, A.example=pollyweb", "'a.example' stands twice"),
        ("*=nlweb,*=nlweb", "'*' stands twice"),
    ],
)
def test_a_wrong_entry_of_receivers_generations_is_named_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(AsyncPostSettings, LEAST | {"FACESCAN_RECEIVER_GENERATIONS": text})
    assert str(caught.value).startswith("FACESCAN_RECEIVER_GENERATIONS: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "where",
    ["127.0.0.1:53", "127.0.0.53:53", "[::1]:5353", "tls://192.0.2.1#dns.example.net", "tls://192.0.2.1:8853#192.0.2.1",
     "tls://[2001:db8::1]:853#dns.example.net", "tls://[2001:db8::1]#dns.example.net"],
)  # fmt: skip
def test_a_resolver_on_this_machine_or_over_tls_is_taken(where: str) -> None:
    given = LEAST | {"FACESCAN_DNS_RESOLVER": where}
    assert load(InboxSettings, given).dns_resolver == load(AsyncPostSettings, given).dns_resolver == where


@pytest.mark.parametrize(
    "where", ["8.8.8.8:53", "10.0.0.1:53", "[2001:db8::1]:53", "0.0.0.0:53", "localhost:53", "127.0.0.1", "127.0.0.1:0",
              "127.0.0.1:65536", "127.0.0.1:x", "", "::1:53", "[127.0.0.1]:53", "127.0.0.1:53#name.example",
              "tls://192.0.2.1", "tls://192.0.2.1:853", "tls://192.0.2.1:0#a.example", "tls://dns.example:853#a.example",
              "tls://192.0.2.1:853#", "tls://192.0.2.1:853#a_b", "tls://2001:db8::1#a.example", "https://192.0.2.1/"],
)  # fmt: skip
def test_a_resolver_that_is_neither_here_nor_over_tls_is_refused_in_one_line(where: str) -> None:
    for settings in (InboxSettings, AsyncPostSettings):
        with pytest.raises(ConfigurationError, match="FACESCAN_DNS_RESOLVER: ") as caught:
            load(settings, LEAST | {"FACESCAN_DNS_RESOLVER": where})
        assert "\n" not in str(caught.value)


def test_the_bounds_of_the_key_cache_are_settings_and_must_fit_together() -> None:
    given = {"FACESCAN_KEY_CACHE_NAMES": "50", "FACESCAN_KEY_CACHE_LEAST_SECONDS": "1"}
    bounds = load(InboxSettings, LEAST | given).key_cache_bounds
    assert bounds == CacheBounds(most_names=50, least_seconds=1, longest_seconds=3600, negative_seconds=60)
    for wrong in ({"LEAST_SECONDS": "61"}, {"LEAST_SECONDS": "10", "LONGEST_SECONDS": "9"}):
        given = {f"FACESCAN_KEY_CACHE_{name}": value for name, value in wrong.items()}
        with pytest.raises(ConfigurationError, match="FACESCAN_KEY_CACHE_LEAST_SECONDS is longer"):
            load(InboxSettings, LEAST | given)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_guessable_secret_of_the_page_s_addresses_is_refused_and_not_shown(secret: str) -> None:
    given = {"FACESCAN_SESSION_PUBLIC_URL": "https://scan.example", "FACESCAN_SCAN_TOKEN_SECRET": secret}
    with pytest.raises(ConfigurationError, match="FACESCAN_SCAN_TOKEN_SECRET") as caught:
        load(SessionSettings, LEAST | given)
    assert not secret or secret not in str(caught.value)


def test_an_attempt_never_outlives_the_provider_s_memory() -> None:
    given = {"FACESCAN_SESSION_PUBLIC_URL": "https://scan.example", "FACESCAN_SCAN_TOKEN_SECRET": "x" * 32}
    with pytest.raises(ConfigurationError, match="FACESCAN_ATTEMPT_SECONDS"):
        load(SessionSettings, LEAST | given | {"FACESCAN_ATTEMPT_SECONDS": "175"})
    with pytest.raises(ConfigurationError, match="FACESCAN_SESSION_PUBLIC_URL"):
        load(SessionSettings, LEAST | given | {"FACESCAN_SESSION_PUBLIC_URL": "https://scan.example/path"})
