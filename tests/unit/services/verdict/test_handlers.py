"""From a hint or a deadline to a verdict, with the emulated provider, tables and bucket."""

import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import CaptureCompleted, EventData, Outcome, PostRequested, VerdictReached
from shared.generation import Generation
from shared.liveness import Finding, ProviderTroubleError, Result
from shared.liveness_rekognition import RekognitionProvider
from shared.tables import FAILURES
from shared.verification import State, Verification
from tests.support.emulated_aws import Emulated
from tests.support.received import received
from tests.support.recording import RecordingPublisher
from tests.unit.services.verdict.scene import ATTEMPTS, Scene


def answered(record: Verification, result: str) -> dict[str, str]:
    """Return the whole Body of a signed answer."""
    assert len(record.nonce) == 22
    expires = datetime.fromtimestamp(record.decided_at + 600, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {"Request": "c-1", "Locator": "loc-1", "Result": result, "Nonce": record.nonce, "Expires": expires}


def _ids(publisher: RecordingPublisher, model: type[EventData]) -> list[str]:
    return [sent.event.id for sent in publisher.of(model)]


# -- what is decided -------------------------------------------------------------------------------------------------


async def test_the_owner_alive_is_a_success_and_everybody_is_told(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]
    answer = scene.posts()["LocatorVerified@Domain"]
    record = await scene.record(verification)
    assert (answer.to, answer.body) == ("shop.example", answered(record, "SUCCESS"))
    close = scene.posts()["ClosePopup@Wallet"]
    assert (close.to, close.body) == (
        "wallet.example",
        {"Wallet": "w-alice", "Popup": verification.verification_id},
    )
    assert (await scene.record(verification)).state is State.ANNOUNCED


@pytest.mark.parametrize(
    ("person", "camera"),
    [("mallory", {}), ("alice", {"confidence": 79.9}), ("alice", {"confidence": 3.0}), ("mallory", {"confidence": 3})],
)
async def test_another_person_and_a_spoof_are_failures_that_look_the_same(
    scene: Scene, person: str, camera: dict[str, Any]
) -> None:
    verification, _ = await scene.checked(person, **camera)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE]
    assert scene.posts()["LocatorVerified@Domain"].body == answered(await scene.record(verification), "FAILURE")


async def test_no_score_and_no_picture_is_in_any_event(scene: Scene) -> None:
    verification, attempt = await scene.checked("alice", confidence=91.25)
    await scene.capture(verification)
    everything = b"".join((sent.value or b"") + repr(sent.headers).encode() for sent in scene.publisher.sent)
    for secret in (b"91.2", b"99.", b"PNG", attempt.provider_session_id.encode(), b"legal-photo"):
        assert secret not in everything


@pytest.mark.parametrize("generation", Generation)
async def test_the_answer_speaks_the_generation_of_the_question(scene: Scene, generation: Generation) -> None:
    verification = await scene.requested(generation=generation.value)
    attempt = await scene.captured(verification)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification)
    assert scene.posts()["LocatorVerified@Domain"].generation is generation
    assert scene.posts()["ClosePopup@Wallet"].generation is Generation.NLWEB


@pytest.mark.parametrize(
    "camera",
    [{"reference_image": False}, {"faces": 0}, {"status": "FAILED"}],
    ids=["no reference picture", "no face on it", "the check failed"],
)
async def test_a_check_without_a_usable_picture_ends_the_attempt_and_denies_nothing(
    scene: Scene, camera: dict[str, Any]
) -> None:
    verification, _ = await scene.checked("alice", **camera)
    await scene.capture(verification)
    await scene.ended_without_answer(verification)


async def test_two_faces_on_the_legal_photo_decide_nothing(scene: Scene) -> None:
    verification = await scene.requested(faces=2)
    attempt = await scene.captured(verification)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification)
    await scene.ended_without_answer(verification)


async def test_a_next_attempt_after_one_without_a_result_may_succeed(scene: Scene) -> None:
    verification, _ = await scene.checked("alice", reference_image=False)
    await scene.capture(verification)
    attempt = await scene.captured(verification, 2)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification, 2)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_the_last_attempt_without_a_result_ends_the_verification(scene: Scene) -> None:
    verification = await scene.requested()
    for number in range(1, ATTEMPTS + 1):
        assert scene.outcomes() == []
        attempt = await scene.captured(verification, number)
        scene.emulated.film(attempt.provider_session_id, "alice", reference_image=False)
        await scene.capture(verification, number)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_a_check_that_still_runs_is_looked_at_again(scene: Scene) -> None:
    verification = await scene.requested()
    attempt = await scene.captured(verification)
    with pytest.raises(RetryLaterError) as caught:
        await scene.capture(verification)
    assert caught.value.after_seconds <= 2
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_check_that_runs_beyond_its_time_ends_without_a_result(scene: Scene) -> None:
    verification = await scene.requested()
    await scene.captured(verification)
    scene.ahead = timedelta(seconds=166)
    await scene.capture(verification)
    await scene.ended_without_answer(verification)


# -- whose verdict it is ---------------------------------------------------------------------------------------------


async def test_the_subject_is_the_attempt_s_own_and_not_what_the_record_says_now(scene: Scene) -> None:
    """A photo that was exchanged after the session's creation is not compared with."""
    verification, _ = await scene.checked("mallory")
    mallory = await scene.emulated.put_photo("mallory")
    client = scene.emulated.aws.client("dynamodb")
    client.update_item(
        TableName=f"{scene.emulated.settings.table_prefix}verifications",
        Key={"verification_id": {"S": verification.verification_id}},
        UpdateExpression="SET photo_key = :k, photo_version = :v, person = :p",
        ExpressionAttributeValues={":k": {"S": mallory.key}, ":v": {"S": mallory.version}, ":p": {"S": "mallory"}},
    )
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_a_newer_version_of_the_legal_photo_is_not_compared_with(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.aws.client("s3").put_object(
        Bucket=scene.emulated.settings.bucket, Key=verification.photo_key, Body=b"\xff\xd8\xff exchanged"
    )
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_legal_photo_in_another_s_place_is_an_outage_and_never_compared_with(scene: Scene) -> None:
    """Mallory's photo where alice's is pinned does not open: whoever may write to S3 decides nothing."""
    mallory = await scene.emulated.put_photo("mallory")
    verification = await scene.requested(photo_key=mallory.key, photo_version=mallory.version)
    attempt = await scene.captured(verification)
    scene.emulated.film(attempt.provider_session_id, "mallory")
    with pytest.raises(UnavailableError, match="legal photo"):
        await scene.capture(verification)
    assert scene.outcomes() == []


async def test_an_event_that_names_another_verification_decides_that_one_by_its_own_records(scene: Scene) -> None:
    alices, _ = await scene.checked("alice")
    bobs = await scene.requested("bob")
    bobs_attempt = await scene.captured(bobs)
    scene.emulated.film(bobs_attempt.provider_session_id, "mallory")
    # The record's key and the event's subject name alice; the data name bob.
    await scene.capture(bobs, subject=alices.verification_id)
    assert scene.outcomes() == [Outcome.FAILURE]
    assert (await scene.record(alices)).state is State.CAPTURED


async def test_an_event_for_what_does_not_exist_is_unprocessable(scene: Scene) -> None:
    verification = await scene.requested()
    for wrong in (verification, replace(verification, verification_id=str(uuid.uuid4()))):
        with pytest.raises(UnprocessableError):
            await scene.capture(wrong)
        with pytest.raises(UnprocessableError):
            await scene.deadline(wrong, 1)
    with pytest.raises(UnprocessableError):
        await scene.deadline(replace(verification, verification_id=str(uuid.uuid4())))


async def test_a_session_that_decided_one_verification_cannot_decide_another(scene: Scene) -> None:
    first, attempt = await scene.checked("alice")
    await scene.capture(first)
    second = await scene.requested()
    await scene.captured(second, session=attempt.provider_session_id)
    with pytest.raises(UnprocessableError, match="has been used before"):
        await scene.capture(second)
    assert scene.outcomes() == [Outcome.SUCCESS]
    assert scene.emulated.evidence(second.verification_id) == []
    await scene.deadline(second, looks=6)
    assert scene.outcomes() == [Outcome.SUCCESS, Outcome.ERROR]


async def test_a_hint_for_an_attempt_that_is_over_changes_nothing(scene: Scene) -> None:
    verification, _ = await scene.checked("alice", reference_image=False)
    await scene.capture(verification)
    await scene.begun(verification, 2)
    await scene.capture(verification, 1)
    record = await scene.record(verification)
    assert (record.state, record.attempt, record.attempt_open) == (State.SESSION_CREATED, 2, True)


async def test_a_hint_before_the_page_said_done_still_judges_by_the_provider_alone(scene: Scene) -> None:
    """Anybody may write the hint: without a finished check at the provider it leads to nothing."""
    verification = await scene.requested()
    await scene.begun(verification)
    with pytest.raises(RetryLaterError):
        await scene.capture(verification)
    assert scene.outcomes() == []


# -- repeats ---------------------------------------------------------------------------------------------------------


async def test_the_same_hint_twice_is_one_verdict(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.capture(verification)
    sent = list(scene.publisher.sent)
    await scene.capture(verification)
    assert scene.publisher.sent == sent


async def test_a_verdict_that_was_not_announced_is_announced_by_the_repeat_under_the_same_ids(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.publisher.refusals = 2
    with pytest.raises(UnavailableError):
        await scene.capture(verification)
    assert (await scene.record(verification)).state is State.DECIDED
    await scene.capture(verification)
    first = {*_ids(scene.publisher, VerdictReached), *_ids(scene.publisher, PostRequested)}
    assert len(first) == 3
    assert set(scene.outcomes()) == {Outcome.SUCCESS}
    assert scene.emulated.evidence(verification.verification_id) == []
    again = RecordingPublisher()
    record = replace(await scene.record(verification), state=State.DECIDED)
    await scene.announcing(again).announce(record)
    assert {*_ids(again, VerdictReached), *_ids(again, PostRequested)} == first
    assert {sent.value for sent in again.sent} == {sent.value for sent in scene.publisher.sent}


async def test_what_was_decided_holds_against_a_later_deadline(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.capture(verification)
    await scene.deadline(verification, 1)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_hint_after_the_deadline_decided_changes_nothing(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    await scene.deadline(verification, looks=6)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.ERROR]


# -- deadlines -------------------------------------------------------------------------------------------------------


async def test_a_page_that_went_silent_after_a_finished_check_still_gets_its_verdict(scene: Scene) -> None:
    verification = await scene.requested()
    attempt = await scene.begun(verification)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.deadline(verification, 1)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_page_that_went_silent_ends_its_attempt(scene: Scene) -> None:
    verification = await scene.requested()
    await scene.begun(verification)
    await scene.deadline(verification, 1)
    await scene.ended_without_answer(verification)


async def test_a_deadline_of_an_attempt_that_is_over_changes_nothing(scene: Scene) -> None:
    verification = await scene.requested()
    await scene.begun(verification)
    await scene.deadline(verification, 1)
    await scene.begun(verification, 2)
    await scene.deadline(verification, 1)
    assert (await scene.record(verification)).attempt_open


@pytest.mark.parametrize("state", [State.REQUESTED, State.PROMPTED, State.OPENED])
async def test_a_person_who_did_not_come_is_a_failure_at_the_deadline(scene: Scene, state: State) -> None:
    verification = await scene.requested(state=state)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]
    assert set(scene.posts()) == {"LocatorVerified@Domain", "ClosePopup@Wallet"}


async def test_an_unknown_locator_is_answered_like_a_person_who_did_not_come(scene: Scene) -> None:
    known, unknown = await scene.requested(state=State.PROMPTED), await scene.requested("")
    answers = []
    for verification in (known, unknown):
        await scene.deadline(verification)
        answers.append(scene.posts()["LocatorVerified@Domain"])
        # Chance and the second, as in any two answers.
        answers[-1].body.pop("Nonce")
        answers[-1].body.pop("Expires")
    same = {"correlation", "order_key"}
    assert answers[0].model_dump(exclude=same) == answers[1].model_dump(exclude=same)
    assert scene.outcomes() == [Outcome.FAILURE] * 2
    closed = [sent for sent in scene.publisher.of(PostRequested) if sent.key == b"wallet.example"]
    assert len(closed) == 1


async def test_a_check_that_is_being_judged_at_the_deadline_gets_a_little_more_time(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    for looks in range(1, 6):
        with pytest.raises(RetryLaterError):
            await scene.deadline(verification, looks=looks)
    await scene.capture(verification)
    await scene.deadline(verification, looks=6)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_system_of_ours_gets_the_event_and_nobody_a_message(scene: Scene) -> None:
    verification = await scene.requested("", requester="", generation="", correlation="")
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]
    assert scene.posts() == {}


# -- outages and evidence --------------------------------------------------------------------------------------------


async def test_a_session_that_expired_before_anybody_looked_is_an_error_and_never_a_failure(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.advance(181)
    await scene.capture(verification)
    await scene.ended_without_answer(verification, trouble=True)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.ERROR]
    assert scene.posts()["LocatorVerified@Domain"].body["Result"] == "ERROR"


async def test_a_session_that_the_provider_has_forgotten_is_an_error_and_never_a_failure(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.advance(601)
    await scene.capture(verification)
    await scene.ended_without_answer(verification, trouble=True)


async def test_a_session_that_expired_and_was_never_done_is_the_person_s_silence(scene: Scene) -> None:
    verification = await scene.requested()
    await scene.begun(verification)
    scene.emulated.advance(181)
    await scene.deadline(verification, 1)
    await scene.ended_without_answer(verification)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


@pytest.mark.parametrize("seconds", [181, 601], ids=["expired", "forgotten"])
@pytest.mark.parametrize(("person", "outcome"), [("alice", Outcome.SUCCESS), ("mallory", Outcome.FAILURE)])
async def test_kept_evidence_decides_when_the_provider_has_nothing_any_more(
    scene: Scene, person: str, outcome: Outcome, seconds: int
) -> None:
    verification, _ = await scene.checked(person)
    scene.emulated.fail("CompareFaces", 1)
    with pytest.raises(UnavailableError):
        await scene.capture(verification)
    assert len(scene.emulated.evidence(verification.verification_id)) == 1
    scene.emulated.advance(seconds)
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]
    assert scene.emulated.evidence(verification.verification_id) == []


@pytest.mark.parametrize("person", ["alice", "mallory"])
async def test_no_version_of_the_evidence_is_left_afterwards(scene: Scene, person: str) -> None:
    verification, _ = await scene.checked(person)
    await scene.capture(verification)
    assert scene.emulated.evidence(verification.verification_id) == []


async def test_no_version_of_the_evidence_is_left_after_looks_that_were_cut_short(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.fail("CompareFaces", 3)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await scene.capture(verification)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]
    assert scene.emulated.evidence(verification.verification_id) == []


async def test_a_spoof_s_evidence_is_not_left_either(scene: Scene) -> None:
    verification, _ = await scene.checked("alice", confidence=5)
    await scene.capture(verification)
    assert scene.emulated.evidence(verification.verification_id) == []


@pytest.mark.parametrize("operation", ["GetFaceLivenessSessionResults", "CompareFaces"])
@pytest.mark.parametrize(
    "error", ["ThrottlingException", "ProvisionedThroughputExceededException", "InternalServerError"]
)
async def test_trouble_at_the_provider_is_waited_for_and_decides_nothing(
    scene: Scene, operation: str, error: str
) -> None:
    verification, _ = await scene.checked("mallory")
    scene.emulated.fail(operation, 1, error)
    with pytest.raises(UnavailableError):
        await scene.capture(verification)
    assert scene.publisher.sent == []
    record = await scene.record(verification)
    assert (record.state, record.attempt_open) == (State.CAPTURED, True)
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_a_legal_photo_that_cannot_be_read_is_an_outage_and_never_a_denial(scene: Scene) -> None:
    verification, _ = await scene.checked("alice")
    scene.emulated.aws.client("s3").delete_object(
        Bucket=scene.emulated.settings.bucket, Key=verification.photo_key, VersionId=verification.photo_version
    )
    with pytest.raises(UnavailableError):
        await scene.capture(verification)
    await scene.deadline(verification, looks=6)
    assert scene.outcomes() == [Outcome.ERROR]
    assert scene.emulated.evidence(verification.verification_id) == []


@pytest.mark.parametrize("error", ["ThrottlingException", "AccessDeniedException"])
async def test_an_attempt_s_deadline_in_an_outage_does_not_hold_up_the_verification_s(scene: Scene, error: str) -> None:
    """Both deadlines have one key, and so one lane: the first must end when the second is due, with an error."""
    verification, _ = await scene.checked("alice")
    scene.emulated.fail("CompareFaces", 1000, error)
    try:
        with pytest.raises(UnavailableError):
            await scene.deadline(verification, 1)
        scene.ahead = timedelta(seconds=600 + 60)
        await scene.deadline(verification, 1)
    finally:
        scene.emulated.fail("CompareFaces", 0)
    assert scene.outcomes() == [Outcome.ERROR]
    assert scene.emulated.evidence(verification.verification_id) == []
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.ERROR]


class ScriptedProvider(RekognitionProvider):
    """Gives the results that a test wants, one after the other, the last for ever."""

    def __init__(self, emulated: Emulated, *script: Result) -> None:
        super().__init__(emulated.aws)
        self.script = list(script)

    async def result(self, _session_id: str, _least_confidence_percent: float) -> Result:
        """See LivenessProvider."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


async def test_a_finished_check_without_a_finding_ends_the_attempt(scene: Scene) -> None:
    scene.provider = ScriptedProvider(scene.emulated, Result(Finding.UNDECIDED), Result(Finding.EXPIRED))
    verification, _ = await scene.checked("alice")
    await scene.capture(verification)
    await scene.ended_without_answer(verification)


@pytest.mark.parametrize(("same", "outcome"), [(True, Outcome.SUCCESS), (False, Outcome.FAILURE)])
async def test_a_provider_that_compares_by_itself_is_believed_and_no_picture_is_kept(
    scene: Scene, same: bool, outcome: Outcome
) -> None:
    scene.provider = ScriptedProvider(scene.emulated, Result(Finding.LIVE, same_person=same))
    verification, _ = await scene.checked("alice" if not same else "mallory")
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]
    assert scene.emulated.evidence(verification.verification_id) == []


async def test_a_session_of_a_provider_that_is_not_configured_any_more_ends_in_an_error(scene: Scene) -> None:
    verification = await scene.requested()
    attempt = await scene.begun(verification, provider="another")
    await scene.verifications.capture(verification.verification_id, "")
    with pytest.raises(UnavailableError, match="'another' is not configured"):
        await scene.capture(verification)
    scene.ahead = timedelta(seconds=600 + 60)
    with pytest.raises(RetryLaterError, match="could not erase the session yet"):
        await scene.capture(verification, attempt.attempt)
    assert scene.outcomes() == [Outcome.ERROR]


class ErasingProvider(RekognitionProvider):
    """Notes what it erases; the first ``failing`` times it cannot."""

    def __init__(self, emulated: Emulated, failing: int = 0) -> None:
        super().__init__(emulated.aws)
        self.failing = failing
        self.erased: list[str] = []

    async def erase(self, session_id: str) -> None:
        """See LivenessProvider."""
        if self.failing:
            self.failing -= 1
            raise ProviderTroubleError("it does not answer")
        self.erased.append(session_id)


async def test_a_session_that_has_served_is_erased_at_the_provider(scene: Scene) -> None:
    scene.provider = provider = ErasingProvider(scene.emulated)
    verification, attempt = await scene.checked("alice")
    await scene.capture(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]
    assert provider.erased == [attempt.provider_session_id]
    silent = await scene.requested()
    other = await scene.begun(silent)
    await scene.deadline(silent, 1)
    assert provider.erased == [attempt.provider_session_id, other.provider_session_id]


async def test_what_the_provider_cannot_erase_now_is_erased_later_and_the_answer_does_not_wait(scene: Scene) -> None:
    scene.provider = provider = ErasingProvider(scene.emulated, failing=2)
    verification, attempt = await scene.checked("alice")
    for look in (1, 2):
        with pytest.raises(RetryLaterError):
            await scene.verdicts.on_capture(
                received(CaptureCompleted(verification_id=verification.verification_id, attempt=1), attempt=look)
            )
        assert scene.outcomes() == [Outcome.SUCCESS]
    await scene.capture(verification)
    assert provider.erased == [attempt.provider_session_id]
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_failed_check_is_counted_once_for_each_and_a_success_for_nobody(scene: Scene) -> None:
    whoms = [f"person:{uuid.uuid4().hex}", f"address:{uuid.uuid4().hex}"]
    scene.whoms = " ".join(whoms)
    table = scene.emulated.tables
    assert (await scene.verified()).outcome == Outcome.SUCCESS
    assert [await table.get(FAILURES.name, {"whom": whom}) for whom in whoms] == [None, None]
    failed = await scene.verified(camera="mallory")
    await scene.capture(failed)
    undecided = await scene.requested()
    await scene.begun(undecided)
    await scene.deadline(undecided, 1)
    for whom in whoms:
        item = await table.get(FAILURES.name, {"whom": whom})
        assert item is not None
        assert (len(json.loads(str(item["failures"]))), item["blocked_until"]) == (2, 0)


@pytest.mark.parametrize("camera", ["alice", "mallory"])
async def test_nobody_s_check_by_a_hosted_function_is_looked_at_like_another_s_and_always_fails(
    scene: Scene, camera: str
) -> None:
    """The answer goes to the second hook, and nobody's history is anybody's."""
    hook = str(uuid.uuid4())
    nobody = await scene.requested("", state=State.OPENED, hook=hook, enrolled_at=int(time.time()))
    attempt = await scene.captured(nobody)
    scene.emulated.film(attempt.provider_session_id, camera)
    await scene.capture(nobody)
    record = await scene.record(nobody)
    assert record.outcome == Outcome.FAILURE
    post = scene.posts()["Handled@Talker"]
    assert post.body == {"Hook": record.second_hook, "Response": "FAILURE"}
    assert set(scene.posts()) == {"Handled@Talker"}
