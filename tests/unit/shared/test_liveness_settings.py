"""Which provider a requester has, and what must be set for it."""

from typing import Any

import pytest

from shared.errors import ConfigurationError, UnavailableError
from shared.liveness_providers import Providers
from shared.liveness_settings import LivenessSettings, parse_by_requester
from shared.settings import load

BASE = {"FACESCAN_KAFKA_BOOTSTRAP": "localhost:9092", "FACESCAN_DOMAIN": "id.example"}
AZURE = {"FACESCAN_AZURE_ENDPOINT": "https://x.cognitiveservices.azure.com", "FACESCAN_AZURE_KEY": "a-key-of-azure"}
CHOSEN = {"FACESCAN_LIVENESS_PROVIDER": "azure"}


def settings(**more: str) -> LivenessSettings:
    return load(LivenessSettings, {**BASE, **more})


def test_rekognition_is_the_provider_when_nothing_is_said() -> None:
    assert settings().providers_used == {"rekognition"}


def test_a_requester_may_have_a_provider_of_its_own() -> None:
    text = "Shop.example = azure , bank.example=rekognition"
    chosen = settings(**AZURE, FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER=text)
    assert chosen.provider_of_requester == {"shop.example": "azure", "bank.example": "rekognition"}
    assert chosen.providers_used == {"azure", "rekognition"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shop.example", "'shop.example' is not of the form domain=provider"),
        ("shop.example=aws", "shop.example: 'aws' is no provider; there are rekognition, azure"),
        ("shop.example=azure,SHOP.example=azure", "shop.example stands there twice"),
        ("no domain=azure", "no domain"),
    ],
)
def test_a_wrong_choice_is_told_by_its_part(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_by_requester(text)
    with pytest.raises(ConfigurationError, match="FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER"):
        settings(FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER=text)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (CHOSEN, "FACESCAN_AZURE_ENDPOINT and FACESCAN_AZURE_KEY or"),
        ({"FACESCAN_LIVENESS_PROVIDER_BY_REQUESTER": "shop.example=azure"}, "FACESCAN_AZURE_ENDPOINT and"),
        ({**CHOSEN, **AZURE, "FACESCAN_AZURE_KEY_SECRET": "azure/key"}, "two answers to one question"),
        ({**CHOSEN, **AZURE, "FACESCAN_AZURE_ENDPOINT": "http://x.example"}, "only https is taken"),
        ({**CHOSEN, **AZURE, "FACESCAN_AZURE_QUICK_LINK": "http://x.example"}, "FACESCAN_AZURE_QUICK_LINK"),
        ({"FACESCAN_LIVENESS_PROVIDER": "google"}, "FACESCAN_LIVENESS_PROVIDER: not of the right form"),
    ],
)
def test_a_provider_that_cannot_work_ends_the_start_in_one_line_without_the_key(more: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as raised:
        settings(**more)
    assert "a-key-of-azure" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_provider_is_made_once_and_when_it_is_asked_for() -> None:
    made: list[str] = []

    def maker(name: str) -> Any:
        def make() -> str:
            made.append(name)
            return name  # stands for a provider, which nobody calls here

        return make

    providers = Providers({"a": maker("a"), "b": maker("b")}, "a", {"shop.example": "b"})
    assert made == []
    for requester, name in (("", "a"), ("bank.example", "a"), ("SHOP.example", "b"), ("shop.example", "b")):
        assert str(providers.of_requester(requester)) == name
    assert made == ["a", "b"]
    with pytest.raises(UnavailableError, match="'c' is not configured"):
        providers.named("c")
