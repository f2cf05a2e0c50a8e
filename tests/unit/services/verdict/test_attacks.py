"""Each attack that a backend must stop (threat model of liveness checks), and the outages that look like one.

Times are the emulated provider's (three minutes, then a session is gone) and the service's own, moved together.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config

from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import CaptureCompleted, DeadlinePassed, Outcome
from shared.verification import State, Verification
from tests.support.emulated_aws import Emulated, EmulatedAws
from tests.support.received import received
from tests.unit.services.verdict.scene import Scene


def pass_time(scene: Scene, seconds: float) -> None:
    """Let time pass, for the provider and for the service."""
    scene.emulated.advance(seconds)
    scene.ahead += timedelta(seconds=seconds)


# -- attacks ---------------------------------------------------------------------------------------------------------


async def test_result_forgery_a_page_that_says_done_without_a_check_decides_nothing(scene: Scene) -> None:
    verification = await scene.requested()
    await scene.captured(verification)
    with pytest.raises(RetryLaterError):
        await scene.capture(verification)
    assert scene.outcomes() == []


async def test_result_forgery_what_an_event_adds_about_the_outcome_is_not_looked_at(scene: Scene) -> None:
    verification, _ = await scene.checked("mallory")
    forged = CaptureCompleted.model_validate(
        {"verification_id": verification.verification_id, "attempt": 1, "outcome": "success", "person": "mallory",
         "provider_session_id": "another", "confidence": 100}
    )  # fmt: skip
    await scene.verdicts.on_capture(received(forged))
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_session_replay_a_session_that_has_decided_decides_nothing_else(scene: Scene) -> None:
    first, attempt = await scene.checked("alice")
    await scene.capture(first)
    second = await scene.requested()
    await scene.captured(second, session=attempt.provider_session_id)
    with pytest.raises(UnprocessableError):
        await scene.capture(second)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_event_replay_after_the_end_the_same_event_has_the_same_answer_and_no_second(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.capture(verification)
    nonce = scene.posts()["LocatorVerified@Domain"].body["Nonce"]
    for _ in range(3):
        await scene.capture(verification)
        await scene.deadline(verification, 1)
        await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]
    assert scene.posts()["LocatorVerified@Domain"].body["Nonce"] == nonce


async def test_answer_replay_no_two_answers_have_one_nonce_and_each_says_until_when_it_counts(scene: Scene) -> None:
    nonces = set()
    for _ in range(3):
        record = await scene.verified()
        body = scene.posts()["LocatorVerified@Domain"].body
        assert body["Expires"] > body["Nonce"][:0]
        assert record.nonce == body["Nonce"]
        nonces.add(body["Nonce"])
    assert len(nonces) == 3


async def test_verdict_swap_an_event_under_another_person_s_key_decides_by_its_own_records(scene: Scene) -> None:
    alices, _ = await scene.checked("alice")
    bobs = await scene.requested("bob")
    session = await scene.captured(bobs)
    scene.emulated.film(session.provider_session_id, "alice")
    await scene.capture(bobs, subject=alices.verification_id)
    assert scene.outcomes() == [Outcome.FAILURE]
    await scene.capture(alices)
    assert scene.outcomes() == [Outcome.FAILURE, Outcome.SUCCESS]
    assert (await scene.record(bobs)).outcome == Outcome.FAILURE


async def test_verdict_swap_the_evidence_of_one_person_does_not_open_for_another(scene: Scene) -> None:
    """Somebody who can write into the bucket puts alice's evidence where bob's would lie."""
    alices, attempt = await scene.checked("alice")
    scene.emulated.fail("CompareFaces", 1)
    with pytest.raises(UnavailableError):
        await scene.capture(alices)
    bobs = await scene.requested("bob")
    await scene.captured(bobs)
    bucket = scene.emulated.settings.bucket
    scene.emulated.aws.client("s3").copy_object(
        Bucket=bucket,
        Key=f"evidence/{bobs.verification_id}/1",
        CopySource={"Bucket": bucket, "Key": f"evidence/{attempt.verification_id}/1"},
    )
    pass_time(scene, 181)
    with pytest.raises(UnavailableError):
        await scene.capture(bobs)
    assert scene.outcomes() == []


async def test_legal_photo_swap_the_photo_of_the_request_is_compared_with_and_no_newer_one(scene: Scene) -> None:
    verification, _ = await scene.checked("mallory")
    await scene.emulated.put_photo(verification.person, shows="mallory")
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_stale_session_a_check_that_was_done_too_late_counts_for_nothing(scene: Scene) -> None:
    verification = await scene.requested()
    attempt = await scene.begun(verification)
    pass_time(scene, 166)
    await scene.deadline(verification, 1)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_brute_force_after_five_wrong_faces_no_face_succeeds_for_a_while(scene: Scene) -> None:
    for number in range(5):
        await scene.verified(camera=f"face-{number}")
    assert (await scene.verified()).outcome == Outcome.FAILURE


async def test_enumeration_an_unknown_locator_ends_like_a_person_who_does_not_come(scene: Scene) -> None:
    for verification in (await scene.requested(state=State.PROMPTED), await scene.requested("")):
        await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE] * 2


async def test_injection_a_confidence_below_eighty_is_a_failure_whatever_face_it_shows(scene: Scene) -> None:
    verification, _ = await scene.checked("alice", confidence=79.9)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_duplicate_events_the_same_event_twice_at_once_is_one_verdict(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    ended = await asyncio.gather(*(scene.capture(verification) for _ in range(4)), return_exceptions=True)
    for error in ended:
        # Two looks at one evidence: one of them comes again, as the consuming does it.
        assert error is None or isinstance(error, UnavailableError | RetryLaterError), error
    await scene.capture(verification)
    assert set(scene.outcomes()) == {Outcome.SUCCESS}
    assert len({sent.event.id for sent in scene.publisher.sent}) == 3
    assert scene.emulated.evidence(verification.verification_id) == []


async def test_reordered_events_the_deadline_before_the_capture_leaves_one_verdict(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.deadline(verification, 1)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_selfie_left_behind_no_version_is_left_whatever_the_end(scene: Scene) -> None:
    for person, camera in (("alice", {}), ("mallory", {}), ("alice", {"confidence": 2}), ("alice", {"faces": 2})):
        verification, _ = await scene.checked(person, **camera)
        await scene.capture(verification)
        assert scene.emulated.evidence(verification.verification_id) == []


# -- outages ---------------------------------------------------------------------------------------------------------

PERSONS = [("alice", Outcome.SUCCESS), ("mallory", Outcome.FAILURE)]


@pytest.mark.parametrize(("person", "outcome"), PERSONS)
async def test_a_lag_of_170_seconds_on_the_captures_decides_as_if_there_were_none(
    scene: Scene, person: str, outcome: Outcome
) -> None:
    verification, _ = await scene.checked(person)
    pass_time(scene, 170)
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]


@pytest.mark.parametrize(("person", "outcome"), PERSONS)
async def test_while_captures_lag_the_sweep_at_165_seconds_saves_the_evidence(
    scene: Scene, person: str, outcome: Outcome
) -> None:
    verification, _ = await scene.checked(person)
    pass_time(scene, 165)
    await scene.deadline(verification, 1)
    pass_time(scene, 100)
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]


@pytest.mark.parametrize(("person", "outcome"), PERSONS)
async def test_a_verdict_service_that_was_down_for_two_minutes_decides_when_it_is_back(
    scene: Scene, person: str, outcome: Outcome
) -> None:
    verification, _ = await scene.checked(person)
    pass_time(scene, 120)
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]


@pytest.mark.parametrize("captured", [True, False], ids=["the page said done", "the page went silent"])
async def test_whoever_comes_too_late_for_the_evidence_answers_error_and_never_failure(
    scene: Scene, captured: bool
) -> None:
    """Down for longer than the provider remembers: nobody can say what the check has shown."""
    verification = await scene.requested()
    attempt = await (scene.captured if captured else scene.begun)(verification)
    scene.emulated.film(attempt.provider_session_id, "alice")
    pass_time(scene, 200)
    await scene.deadline(verification, 1)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.ERROR]


class Without(EmulatedAws):
    """Clients of which one service's lead to a port where nobody listens, until it is ``back``."""

    def __init__(self, emulated: Emulated, lost: str) -> None:
        super().__init__(emulated.settings, emulated.url)
        self.lost: str | None = lost
        session: Any = boto3.Session("test", "test", region_name="eu-west-1")
        config = Config(connect_timeout=1, retries={"total_max_attempts": 1})
        self._nobody = session.client(lost, endpoint_url="http://127.0.0.1:9", config=config)

    def client(self, service: str) -> Any:
        return self._nobody if service == self.lost else super().client(service)


@pytest.mark.parametrize(
    ("lost", "person", "outcome"),
    [
        ("s3", "alice", Outcome.SUCCESS),
        ("dynamodb", "mallory", Outcome.FAILURE),
        ("rekognition", "mallory", Outcome.FAILURE),
        ("kms", "mallory", Outcome.FAILURE),
    ],
)
async def test_a_part_that_is_away_for_two_minutes_costs_no_answer_and_never_a_wrong_one(
    scene: Scene, person: str, outcome: Outcome, lost: str
) -> None:
    verification, _ = await scene.checked(person)
    without = Without(scene.emulated, lost)
    broken = replace(scene, aws=without)
    try:
        for _ in range(3):
            with pytest.raises(UnavailableError):
                await broken.capture(verification)
            pass_time(broken, 40)
        assert scene.outcomes() == []
        without.lost = None
        await broken.capture(verification)
    finally:
        without.close()
    assert scene.outcomes() == [outcome]


@pytest.mark.parametrize("lost", ["s3", "rekognition", "kms"])
async def test_a_part_that_stays_away_ends_in_an_error_that_says_try_again(scene: Scene, lost: str) -> None:
    verification, _ = await scene.checked("mallory")
    broken = replace(scene, aws=Without(scene.emulated, lost), ahead=timedelta(seconds=630))
    await broken.capture(verification)
    assert scene.outcomes() == [Outcome.ERROR]
    assert scene.posts()["LocatorVerified@Domain"].body["Result"] == "ERROR"


async def test_throttling_within_the_window_is_waited_out(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.fail("GetFaceLivenessSessionResults", 10)
    for _ in range(10):
        with pytest.raises(UnavailableError):
            await scene.capture(verification)
        pass_time(scene, 15)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_throttling_beyond_the_window_is_an_error_and_never_a_failure(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.fail("GetFaceLivenessSessionResults", 3)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await scene.capture(verification)
        pass_time(scene, 70)
    await scene.capture(verification)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.ERROR]


def test_the_events_that_start_the_verdict_carry_no_outcome_no_person_and_no_session() -> None:
    for event in (CaptureCompleted, DeadlinePassed):
        assert set(event.model_fields) <= {"verification_id", "attempt", "given_up"}
    assert "provider_session_id" not in Verification.__dataclass_fields__
