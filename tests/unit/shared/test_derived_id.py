"""Derived ids are UUIDs of version 5."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from shared.events import _NAMESPACE, derived_id

TEXT = st.text(st.characters(codec="utf-8"))


@given(st.lists(TEXT, max_size=4))
def test_a_derived_id_is_what_the_standard_library_makes_of_the_same_name(parts: list[str]) -> None:
    assert derived_id(*parts) == str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))
