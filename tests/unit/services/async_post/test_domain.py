"""What an answer means, and when a message is tried again."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.async_post.domain import meaning
from shared.deliveries import JITTER, RETRY_SCHEDULE_SECONDS, Answer, Meaning, next_try

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NEVER = NOW + timedelta(days=365)
FAILED = Answer(500)

chances = st.integers(0, 2**32).map(random.Random)
attempts = st.integers(1, len(RETRY_SCHEDULE_SECONDS))


@given(st.integers(100, 599))
def test_every_status_has_the_meaning_of_the_protocol(status: int) -> None:
    """2xx settles, 5xx and the three temporary 4xx are tried again, all else (redirects too) is given up."""
    if 200 <= status < 300:
        expected = Meaning.DELIVERED
    elif status >= 500 or status in (408, 425, 429):
        expected = Meaning.TRY_AGAIN
    else:
        expected = Meaning.REFUSED
    assert meaning(Answer(status)) is expected


def test_a_certificate_of_another_name_or_of_nobody_known_is_refused() -> None:
    assert meaning(Answer(None, "certificate")) is Meaning.REFUSED


@pytest.mark.parametrize("trouble", ["timeout", "certificate_expired", "dns", "connect", "closed", ""])
def test_no_answer_is_tried_again(trouble: str) -> None:
    assert meaning(Answer(None, trouble)) is Meaning.TRY_AGAIN


def test_the_schedule_rises_and_covers_a_day_of_outage() -> None:
    assert list(RETRY_SCHEDULE_SECONDS) == sorted(RETRY_SCHEDULE_SECONDS)
    assert 24 * 3600 < sum(RETRY_SCHEDULE_SECONDS) < 72 * 3600


@given(attempts, chances)
def test_the_wait_is_the_schedule_s_plus_at_most_the_jitter(attempt: int, chance: random.Random) -> None:
    moment = next_try(attempt, NOW, NEVER, FAILED, chance)
    assert moment is not None
    wait, scheduled = (moment - NOW).total_seconds(), RETRY_SCHEDULE_SECONDS[attempt - 1]
    assert scheduled <= wait + 1e-6
    assert wait <= scheduled * (1 + JITTER) + 1e-6


def test_the_messages_of_one_outage_do_not_come_back_at_once() -> None:
    chance = random.Random(1)
    assert len({next_try(1, NOW, NEVER, FAILED, chance) for _ in range(100)}) > 90


@given(st.integers(len(RETRY_SCHEDULE_SECONDS) + 1, 10**6), chances)
def test_after_the_last_try_it_is_given_up(attempt: int, chance: random.Random) -> None:
    assert next_try(attempt, NOW, NEVER, FAILED, chance) is None


@given(attempts, st.floats(-1e9, 1e9), chances)
def test_no_try_is_at_or_after_the_time_to_give_up(attempt: int, left: float, chance: random.Random) -> None:
    give_up_at = NOW + timedelta(seconds=left)
    moment = next_try(attempt, NOW, give_up_at, FAILED, chance)
    assert moment is None or NOW < moment < give_up_at


@given(attempts, st.floats(0, allow_nan=False), chances)
def test_a_receiver_s_wish_delays_the_try_within_bounds_and_never_hastens_it(
    attempt: int, asked: float, chance: random.Random
) -> None:
    moment = next_try(attempt, NOW, NEVER, Answer(429, retry_after_seconds=asked), chance)
    assert moment is not None
    wait, scheduled = (moment - NOW).total_seconds(), RETRY_SCHEDULE_SECONDS[attempt - 1]
    assert wait >= max(scheduled, min(asked, 3600.0)) - 1e-5
    assert wait <= max(scheduled * (1 + JITTER), 3600.0) + 1e-5


@pytest.mark.parametrize(("asked", "least"), [(120.0, 120.0), (0.0, 5.0), (1e300, 3600.0), (float("inf"), 3600.0)])
def test_retry_after_is_honoured_between_a_second_and_an_hour(asked: float, least: float) -> None:
    moment = next_try(1, NOW, NEVER, Answer(503, retry_after_seconds=asked), random.Random(1))
    assert moment is not None
    assert least <= (moment - NOW).total_seconds() <= max(least, 5.5)


def test_a_wish_beyond_the_time_to_give_up_gives_it_up() -> None:
    asked = Answer(429, retry_after_seconds=3600.0)
    assert next_try(1, NOW, NOW + timedelta(seconds=60), asked, random.Random(1)) is None
