"""Events are contracts: they only grow, and the same step has the same id for ever."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, create_model

from shared.events import (
    BY_TYPE,
    EVENTS,
    CaptureCompleted,
    DeadlinePassed,
    EventData,
    Outcome,
    PostRequested,
    VerdictReached,
    VerificationRequested,
    derived_id,
    event_id,
    utc_text,
)
from shared.topics import TOPICS
from tests.support.kafka_fixtures import MARK
from tests.support.last_release import NoHistoryError, last_release
from tests.support.schemas import additive_problems

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
VERIFICATION = "125a5c75-cb72-43d2-9695-37026dfcaa48"


def schema(**fields: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", create_model("Event", **fields).model_json_schema())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_the_committed_schema_of_each_event_is_there_and_the_model_only_grew(event: type[EventData]) -> None:
    path = SCHEMAS / f"{event.type}.json"
    assert path.is_file(), f"{path} is missing: make it with python -m cli.reference"
    assert additive_problems(json.loads(path.read_text()), event.model_json_schema()) == []


def test_no_event_of_the_last_release_is_gone_or_narrower_than_its_readers_and_writers_know_it(tmp_path: Path) -> None:
    try:
        release = last_release()
        old = release.extract(tmp_path, "docs/schemas") / "docs" / "schemas"
    except NoHistoryError as error:
        pytest.skip(f"{MARK} events against the last release's ({error})")
    paths = sorted(old.glob("*.json"))
    assert paths
    assert {path.stem for path in paths} <= set(BY_TYPE)
    problems = {
        path.stem: found
        for path in paths
        if (found := additive_problems(json.loads(path.read_text()), BY_TYPE[path.stem].model_json_schema()))
    }
    assert problems == {}


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_schema_belongs_to_an_event_that_is_still_there(path: Path) -> None:
    assert path.stem in BY_TYPE


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        ({"a": (str, ...)}, "data.b: the field is removed"),
        ({"a": (str, ...), "b": (int, 1), "c": (int, ...)}, "data.c: a new field is required"),
        ({"a": (str, ...), "b": (int, ...)}, "data.b: the field has become required"),
        ({"a": (str, "x"), "b": (int, 1)}, "data.a: the field was always there and need not be any more"),
        ({"a": (int, ...), "b": (int, 1)}, "data.a: may not be string any more"),
        ({"a": (str, Field(max_length=5)), "b": (int, 1)}, "data.a: maxLength is narrower than before"),
        ({"a": (str, Field(min_length=1)), "b": (int, 1)}, "data.a: minLength is narrower than before"),
        ({"a": (str, Field(pattern="^x$")), "b": (int, 1)}, "data.a: pattern is another one than before"),
        ({"a": (str, ...), "b": (int, Field(default=1, ge=0))}, "data.b: minimum is narrower than before"),
    ],
)
def test_a_change_that_an_old_event_does_not_survive_is_found(new: dict[str, Any], problem: str) -> None:
    assert additive_problems(schema(a=(str, ...), b=(int, 1)), schema(**new)) == [problem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (str | None, str),
        (int | str, int),
        (float, int),
        (dict[str, Any], dict[str, Any] | None),
        (list[int | None], list[int]),
    ],
)
def test_a_narrowed_type_is_found_and_a_widened_one_is_not(old: Any, new: Any) -> None:
    wider, narrower = (old, new) if "None" not in str(new) else (new, old)
    assert additive_problems(schema(a=(wider, ...)), schema(a=(narrower, ...)))
    assert additive_problems(schema(a=(narrower, ...)), schema(a=(wider, ...))) == []


def test_a_value_that_is_gone_is_found_and_a_new_one_is_none() -> None:
    few, many = ({"properties": {"a": {"enum": values}}} for values in (["x"], ["x", "y"]))
    constant = {"properties": {"a": {"const": "x"}}}
    assert additive_problems(many, few) == ["data.a: the value 'y' is not allowed any more"]
    assert additive_problems(few, many) == []
    assert additive_problems(constant, many) == []
    assert additive_problems(many, constant)
    assert additive_problems({"properties": {"a": {}}}, few)


def test_changes_inside_of_what_a_field_refers_to_are_found() -> None:
    def outer(**fields: Any) -> dict[str, Any]:
        inner = create_model("Inner", **fields)
        return schema(one=(inner, ...), maybe=(inner | None, None), many=(list[inner], []))

    problems = additive_problems(outer(a=(str, ...), b=(str, "")), outer(a=(str, ...)))
    assert [problem.split(":")[0] for problem in problems] == ["data.many[].b", "data.maybe"]
    assert "data.one.b" in "".join(additive_problems(
        schema(one=(create_model("Inner", b=(str, "")), ...)), schema(one=(create_model("Inner"), ...))
    ))  # fmt: skip


def test_growth_is_no_problem() -> None:
    old = schema(a=(str, Field(max_length=5, description="old")))
    new = schema(a=(str, Field(max_length=9, description="new")), b=(int | None, None))
    assert additive_problems(old, new) == []
    assert additive_problems(old, old) == []


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_every_event_has_a_versioned_type_a_topic_and_a_description(event: type[EventData]) -> None:
    assert event.type.endswith(".v1")
    assert event.type.startswith("facescan.")
    assert event.topic in {spec.name for spec in TOPICS}
    assert BY_TYPE[event.type] is event
    assert event.__doc__


def test_types_and_topics_are_not_shared() -> None:
    assert len(BY_TYPE) == len(EVENTS)
    assert len({spec.name for spec in TOPICS}) == len(TOPICS)


def test_ids_are_those_that_earlier_versions_gave() -> None:
    """A new release must recognise what an old one has published."""
    assert derived_id("a", "b") == "8613b759-67fa-5a72-b67a-8f085ef32a06"
    event = CaptureCompleted(verification_id=VERIFICATION, attempt=1)
    assert event_id(event, "1") == "736e6879-6985-53d3-b6b0-5048d9d352cf"


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1))
def test_the_same_parts_have_the_same_id_and_more_parts_another(parts: list[str]) -> None:
    assert derived_id(*parts) == derived_id(*parts)
    assert derived_id(*parts) != derived_id(*parts, "")


def test_the_id_is_of_the_step_not_of_the_contents() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    early = VerdictReached(verification_id=VERIFICATION, outcome=Outcome.SUCCESS, decided_at=moment)
    late = early.model_copy(update={"decided_at": moment + timedelta(seconds=5)})
    assert event_id(early) == event_id(late)
    assert event_id(early, "a") != event_id(early, "b")
    deadline, capture = DeadlinePassed(verification_id=VERIFICATION), CaptureCompleted(
        verification_id=VERIFICATION, attempt=1
    )  # fmt: skip
    assert event_id(deadline) != event_id(capture)


def test_an_older_reader_ignores_fields_of_a_newer_writer() -> None:
    data = CaptureCompleted.model_validate_json(
        json.dumps({"verification_id": VERIFICATION, "attempt": 2, "new_in_v1": {"a": 1}})
    )
    assert data == CaptureCompleted(verification_id=VERIFICATION, attempt=2)


@pytest.mark.parametrize("locator", ["", "a b", "a/b", "a\n", "<script>", "x" * 201, "é"])
def test_a_locator_is_a_short_opaque_token(locator: str) -> None:
    with pytest.raises(ValidationError):
        VerificationRequested(verification_id=VERIFICATION, locator=locator)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
            max_leaves=10,
        ),
    )
)  # fmt: skip
def test_the_body_of_a_post_arrives_as_it_was_asked_for_nulls_included(body: dict[str, Any]) -> None:
    asked = PostRequested(to="a.example", subject="A@B", body=body)
    assert PostRequested.model_validate_json(asked.to_json()) == asked


def test_what_is_not_set_is_not_written() -> None:
    event = VerificationRequested(verification_id=VERIFICATION, locator="abc")
    assert json.loads(event.to_json()) == {"verification_id": VERIFICATION, "locator": "abc"}
    assert event.key() == VERIFICATION


def test_a_time_is_written_in_utc_with_milliseconds_whatever_its_zone() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(moment) == "2026-01-31T10:00:00.999Z"
    assert utc_text(moment.astimezone(UTC).replace(microsecond=5000)) == "2026-01-31T10:00:00.005Z"
