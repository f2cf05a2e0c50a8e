"""Settings are right, or one line says which variable was wrong and how."""

import re

import pytest
from pydantic import Field

from cli.settings_known import settings_models
from shared.errors import ConfigurationError
from shared.settings import Environment, KafkaSettings, Settings, StoreSettings, load

GOOD = {"FACESCAN_KAFKA_BOOTSTRAP": "127.0.0.1:9092", "FACESCAN_DOMAIN": "identity.example"}


class WithSecrets(KafkaSettings):
    page_token_secret: str = Field(min_length=32)
    api_key: int = 0
    plain: int = 0


def refusal(changes: dict[str, str | None], model: type[KafkaSettings | StoreSettings] = Settings) -> str:
    environ = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(ConfigurationError) as caught:
        load(model, environ)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_no_pattern_counts_far_for_each_count_is_unrolled_into_memory() -> None:
    """ADR 7: ``max_length`` says how long a value may be; a count in a pattern costs a copy of its class for each."""
    patterns = {
        (name, match[0])
        for _, model in settings_models()
        for name, field in model.model_fields.items()
        for metadata in field.metadata
        for match in re.finditer(r"\{\d*,?(\d+)\}", str(getattr(metadata, "pattern", "")))
        if int(match[1]) > 100
    }
    assert not patterns


def test_two_variables_are_enough_and_the_rest_has_defaults() -> None:
    settings = load(Settings, GOOD)
    assert (settings.kafka_bootstrap, settings.domain) == ("127.0.0.1:9092", "identity.example")
    assert settings.environment is Environment.PRODUCTION
    assert settings.instance is None


def test_numbers_and_names_are_read_from_text() -> None:
    more = {"FACESCAN_STORE_THREADS": "3", "FACESCAN_DRAIN_SECONDS": "0.5", "FACESCAN_ENVIRONMENT": "development"}
    settings = load(Settings, GOOD | more)
    assert (settings.store_threads, settings.drain_seconds) == (3, 0.5)
    assert settings.environment is Environment.DEVELOPMENT


def test_variables_of_others_are_not_looked_at() -> None:
    assert load(Settings, {**GOOD, "FACESCAN_SOMETHING_ELSE": "x", "DOMAIN": "other", "PATH": "/"})


def test_the_process_environment_is_read_when_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert load(Settings).domain == "identity.example"
    monkeypatch.setenv("FACESCAN_OPS_PORT", "no number")
    with pytest.raises(ConfigurationError, match=r"FACESCAN_OPS_PORT: .* \(it is 'no number'\)"):
        load(Settings)


def test_a_given_environment_is_the_only_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESCAN_KAFKA_BOOTSTRAP", "another:9092")
    monkeypatch.setenv("FACESCAN_OPS_PORT", "9999")
    assert refusal({"FACESCAN_KAFKA_BOOTSTRAP": None}) == "FACESCAN_KAFKA_BOOTSTRAP is not set"
    assert "another" not in refusal({"FACESCAN_KAFKA_BOOTSTRAP": "wrong"})
    assert load(Settings, GOOD).ops_port == 9400


def test_what_is_missing_is_named() -> None:
    assert refusal({"FACESCAN_DOMAIN": None}) == "FACESCAN_DOMAIN is not set"


def test_all_that_is_wrong_is_said_in_one_line() -> None:
    line = refusal({"FACESCAN_DOMAIN": None, "FACESCAN_OPS_PORT": "0", "FACESCAN_LOG_LEVEL": "LOUD"})
    assert {part.split(":")[0].split(" ")[0] for part in line.split("; ")} == {
        "FACESCAN_DOMAIN",
        "FACESCAN_OPS_PORT",
        "FACESCAN_LOG_LEVEL",
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FACESCAN_KAFKA_BOOTSTRAP", "localhost"),
        ("FACESCAN_KAFKA_BOOTSTRAP", "kafka:9092,"),
        ("FACESCAN_KAFKA_BOOTSTRAP", "http://kafka:9092"),
        ("FACESCAN_DOMAIN", "localhost"),
        ("FACESCAN_DOMAIN", "https://identity.example"),
        ("FACESCAN_ENVIRONMENT", "staging"),
        ("FACESCAN_LOG_LEVEL", "info"),
        ("FACESCAN_OPS_PORT", "65536"),
        ("FACESCAN_OPS_PORT", "http"),
        ("FACESCAN_STORE_THREADS", "0"),
        ("FACESCAN_BUCKET", "Not A Bucket"),
        ("FACESCAN_DRAIN_SECONDS", "-1"),
        ("FACESCAN_INSTANCE", "a b"),
    ],
)
def test_a_wrong_value_is_shown_beside_its_variable(variable: str, value: str) -> None:
    line = refusal({variable: value})
    assert line.startswith(f"{variable}: ")
    assert line.endswith(f"(it is {value!r})")


def test_a_bare_reason_is_said_without_the_libraries_decoration() -> None:
    line = refusal({"FACESCAN_DOMAIN": "localhost"})
    assert line == "FACESCAN_DOMAIN: 'localhost' is no domain name (it is 'localhost')"


def test_a_secret_is_never_shown_and_a_plain_value_beside_it_is() -> None:
    line = refusal(
        {
            "FACESCAN_PAGE_TOKEN_SECRET": "too-short-secret",
            "FACESCAN_API_KEY": "hunter2",
            "FACESCAN_PLAIN": "seen",
        },
        WithSecrets,
    )
    assert "FACESCAN_PAGE_TOKEN_SECRET: " in line
    assert "FACESCAN_API_KEY: " in line
    assert "too-short-secret" not in line
    assert "hunter2" not in line
    assert "'seen'" in line


def test_a_long_value_is_shown_in_part() -> None:
    assert len(refusal({"FACESCAN_KAFKA_BOOTSTRAP": "x" * 5000})) < 300
