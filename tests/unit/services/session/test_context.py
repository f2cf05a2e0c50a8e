"""What a wallet says about where and on what."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.session.context import Fingerprints, Told, read_context

PRINTS = Fingerprints("a secret of thirty-two characters")


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_place_is_known_to_about_a_kilometre(latitude: float, longitude: float) -> None:
    told = read_context({"Location": {"Latitude": latitude, "Longitude": longitude}})
    assert told is not None
    context = PRINTS.context(told, "alice")
    assert context.latitude is not None
    assert context.longitude is not None
    assert abs(context.latitude - latitude) <= 0.0051
    assert abs(context.longitude - longitude) <= 0.0051
    assert context.latitude == round(context.latitude, 2)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), lambda value: st.dictionaries(
    st.sampled_from(["Device", "Country", "Location", "Latitude", "Longitude"]), value)))  # fmt: skip
def test_anything_else_is_refused_in_one_line_that_repeats_none_of_it(value: Any) -> None:
    problem = ""
    try:
        read_context(value)
    except ValueError as error:
        problem = str(error)
    assert problem.endswith("not as it must be") or not problem
    assert "\n" not in problem


def test_one_device_has_another_hash_for_each_person_and_one_that_failures_are_counted_by() -> None:
    told = Told(Device="my-phone")
    alice, bob = PRINTS.context(told, "alice"), PRINTS.context(told, "bob")
    assert len({alice.device, bob.device, PRINTS.device("my-phone"), PRINTS.address("my-phone")}) == 4
    assert alice.device == PRINTS.context(told, "alice").device
    assert Fingerprints("another secret of thirty-two chars").context(told, "alice").device != alice.device


@pytest.mark.parametrize("value", [None, {}, {"Battery": 7}])
def test_without_anything_known_there_is_no_context(value: Any) -> None:
    assert read_context(value) is None
