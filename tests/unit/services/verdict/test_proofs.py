"""What the policy asks for is carried out: scans skipped, done twice, or of no avail while the person is locked out."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.verdict.policy import Limits
from services.verdict.terms import Rule, read_terms
from shared.errors import ConfigurationError, RetryLaterError, UnprocessableError
from shared.events import Context, Outcome
from shared.verification import State, Verification
from tests.unit.services.verdict.scene import Scene

HERE = Context(device="phone-phone-phone", country="PT", latitude=38.72, longitude=-9.14)
SKIPPING = Limits(skip_seconds=300)


def opened_in(context: Context) -> dict[str, Any]:
    return {"context": context.model_dump_json(exclude_none=True)}


async def check(scene: Scene, verification: Verification, number: int, camera: str = "alice") -> Verification:
    """Let one more check of a verification run to its end."""
    attempt = await scene.captured(verification, number)
    scene.emulated.film(attempt.provider_session_id, camera)
    await scene.capture(verification, number)
    return await scene.record(verification)


# -- skipped ---------------------------------------------------------------------------------------------------------


async def test_soon_after_a_success_on_the_same_device_and_near_no_scan_is_needed(scene: Scene) -> None:
    scene.limits = SKIPPING
    await scene.verified(**opened_in(HERE))
    again = await scene.requested(**opened_in(HERE))
    await scene.opened(again)
    assert (await scene.record(again)).state is State.ANNOUNCED
    assert scene.outcomes() == [Outcome.SUCCESS] * 2
    sent = list(scene.publisher.sent)
    await scene.opened(again)
    assert scene.publisher.sent == sent


@pytest.mark.parametrize(
    "more",
    [
        {"requester": "other.example"},
        opened_in(HERE.model_copy(update={"device": "another-device-of-hers"})),
        opened_in(Context()),
        {"context": ""},
        {"state": State.SESSION_CREATED, "attempt": 1},
        {"state": State.PROMPTED},
        {"expires_at": 1},
    ],
    ids=["another requester", "another device", "nothing told", "no context", "has begun", "not opened", "too late"],
)
async def test_whatever_differs_leads_to_the_scan(scene: Scene, more: dict[str, Any]) -> None:
    scene.limits = SKIPPING
    await scene.verified(**opened_in(HERE))
    again = await scene.requested(**{**opened_in(HERE), **more})
    await scene.opened(again)
    assert scene.outcomes() == [Outcome.SUCCESS]
    assert (await scene.record(again)).outcome == ""


async def test_a_skipped_scan_does_not_stand_for_the_next_one(scene: Scene) -> None:
    scene.limits = SKIPPING
    await scene.verified(**opened_in(HERE))
    scene.ahead = timedelta(seconds=200)
    await scene.opened(await scene.requested(**opened_in(HERE)))
    scene.ahead = timedelta(seconds=400)
    third = await scene.requested(**opened_in(HERE))
    await scene.opened(third)
    assert scene.outcomes() == [Outcome.SUCCESS] * 2
    assert (await scene.record(third)).state is State.OPENED


async def test_requesters_of_one_class_share_a_recent_success(scene: Scene) -> None:
    scene.limits = SKIPPING
    scene.rules = [Rule.model_validate({"requester": name, "class": "shops"}) for name in ("a.example", "b.example")]
    await scene.verified(requester="a.example", **opened_in(HERE))
    await scene.opened(await scene.requested(requester="b.example", **opened_in(HERE)))
    assert scene.outcomes() == [Outcome.SUCCESS] * 2


async def test_an_opening_of_what_does_not_exist_is_unprocessable(scene: Scene) -> None:
    with pytest.raises(UnprocessableError):
        await scene.opened(Verification("00000000-0000-4000-8000-000000000000", State.OPENED, "l", 0, 0))


# -- twice -----------------------------------------------------------------------------------------------------------


async def test_on_a_new_device_two_scans_must_succeed_and_nobody_hears_of_the_first(scene: Scene) -> None:
    await scene.verified(**opened_in(HERE))
    scene.publisher.sent.clear()
    verification = await scene.requested(**opened_in(HERE.model_copy(update={"device": "a-new-laptop-of-hers"})))
    first = await check(scene, verification, 1)
    assert (first.state, first.attempt_open, first.passes, first.tries_used) == (State.OPENED, False, 1, 0)
    assert scene.publisher.sent == []
    assert scene.emulated.evidence(verification.verification_id) == []
    assert (await check(scene, verification, 2)).outcome == Outcome.SUCCESS


async def test_the_hint_for_a_first_of_two_scans_counts_once_however_often_it_comes(scene: Scene) -> None:
    scene.rules = [Rule(least_proof="scan twice")]
    verification = await scene.requested()
    for _ in range(3):
        record = await scene.record(verification)
        if record.passes == 0:
            await check(scene, verification, 1)
        else:
            await scene.capture(verification, 1)
    assert (await scene.record(verification)).passes == 1
    assert scene.outcomes() == []


async def test_the_session_of_the_first_scan_cannot_be_the_second_one_s(scene: Scene) -> None:
    scene.rules = [Rule(least_proof="scan twice")]
    verification = await scene.requested()
    attempt = await scene.captured(verification)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification)
    await scene.captured(verification, 2, session=attempt.provider_session_id)
    with pytest.raises(UnprocessableError, match="used before"):
        await scene.capture(verification, 2)
    assert scene.outcomes() == []
    assert scene.emulated.evidence(verification.verification_id) == []


async def test_a_second_scan_of_somebody_else_is_a_failure(scene: Scene) -> None:
    scene.rules = [Rule(purpose="Open an account", least_proof="scan twice")]
    verification = await scene.requested(purpose="open an ACCOUNT")
    await check(scene, verification, 1)
    await check(scene, verification, 2, "mallory")
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_tries_without_a_result_are_used_up_and_the_one_that_succeeded_is_not(scene: Scene) -> None:
    scene.rules = [Rule(least_proof="scan twice")]
    verification = await scene.requested()
    await check(scene, verification, 1)
    for number in (2, 3):
        attempt = await scene.captured(verification, number)
        scene.emulated.film(attempt.provider_session_id, "alice", reference_image=False)
        await scene.capture(verification, number)
    assert scene.outcomes() == []
    await check(scene, verification, 4)
    assert scene.outcomes() == [Outcome.SUCCESS]


# -- locked out ------------------------------------------------------------------------------------------------------


async def test_after_five_failures_even_the_right_face_fails_until_the_lock_out_is_over(scene: Scene) -> None:
    for _ in range(5):
        await scene.verified(camera="mallory")
    assert (await scene.verified()).outcome == Outcome.FAILURE
    # What fails while locked out does not prolong it.
    for _ in range(3):
        await scene.verified(camera="mallory")
    scene.ahead = timedelta(seconds=1801)
    assert (await scene.verified(expires_at=2**33)).outcome == Outcome.SUCCESS
    assert scene.outcomes() == [Outcome.FAILURE] * 9 + [Outcome.SUCCESS]


async def test_one_person_s_lock_out_is_nobody_else_s(scene: Scene) -> None:
    for _ in range(5):
        await scene.verified(camera="mallory")
    assert (await scene.verified("bob")).outcome == Outcome.SUCCESS


async def test_checks_of_one_person_that_decide_at_once_are_all_remembered(scene: Scene) -> None:
    verifications = [await scene.requested() for _ in range(4)]
    for verification in verifications:
        attempt = await scene.captured(verification)
        scene.emulated.film(attempt.provider_session_id, "mallory")

    async def until_decided(verification: Verification) -> None:
        while not (await scene.record(verification)).outcome:
            try:
                await scene.capture(verification)
            except RetryLaterError:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(until_decided(verification) for verification in verifications))
    remembered = (await scene.proofs.asked(verifications[0], scene.clock())).remembered
    assert [one.success for one in remembered.past] == [False] * 4
    assert scene.outcomes() == [Outcome.FAILURE] * 4


# -- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asker", "outcome"), [("bank.example", Outcome.FAILURE), ("shop.example", Outcome.SUCCESS)])
async def test_thresholds_are_the_requester_s(scene: Scene, asker: str, outcome: Outcome) -> None:
    scene.rules = [Rule(requester="bank.example", least_confidence_percent=98)]
    verification = await scene.requested(requester=asker)
    attempt = await scene.captured(verification)
    scene.emulated.film(attempt.provider_session_id, "alice", confidence=97.0)
    await scene.capture(verification)
    assert scene.outcomes() == [outcome]


@pytest.mark.parametrize(("purpose", "outcome"), [("to vote", Outcome.FAILURE), ("to buy", Outcome.SUCCESS)])
async def test_thresholds_are_the_purpose_s(scene: Scene, purpose: str, outcome: Outcome) -> None:
    # Two pictures of one person are at most 99.9 % alike to the stand-in.
    scene.rules = [Rule(purpose="to vote", least_similarity_percent=100)]
    assert (await scene.verified(purpose=purpose)).outcome == outcome


async def test_two_faces_in_the_check_s_picture_decide_nothing(scene: Scene) -> None:
    verification, _ = await scene.checked("alice", faces=2)
    await scene.capture(verification)
    await scene.ended_without_answer(verification)


def test_no_file_is_no_rule() -> None:
    assert read_terms(None) == ()


def test_the_terms_file_of_the_document_is_taken(tmp_path: Path) -> None:
    page = Path(__file__).parents[4].joinpath("docs/policy.md").read_text()
    example = page[page.index('    {"rules"') : page.index("| member")]
    file = tmp_path / "terms.json"
    file.write_text(example)
    assert [rule.requester_class for rule in read_terms(file)] == [None, "banks", "shops"]


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("{", "file: "),
        ("[]", "file: "),
        ('{"rules": [{"requester": "not a domain"}]}', "rules.0.requester: "),
        ('{"rules": [{}, {"least_proof": "none"}]}', "rules.1.least_proof: "),
        ('{"rules": [{"least_confidence_percent": 101}]}', "rules.0.least_confidence_percent: "),
        ('{"rules": [{"confidence": 90}]}', "rules.0.confidence: "),
        (None, "No such file"),
    ],
)
def test_a_wrong_terms_file_is_named_with_place_and_reason(tmp_path: Path, content: str | None, where: str) -> None:
    file = tmp_path / "terms.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        read_terms(file)
    assert str(caught.value).startswith(f"FACESCAN_VERDICT_TERMS: {file}: {where}")
    assert "\n" not in str(caught.value)


async def test_many_checks_begun_before_the_first_has_failed_still_meet_the_lock_out(scene: Scene) -> None:
    """No tally blocks them, for nothing had failed when they began; the sixth fails though it shows the person."""
    begun = []
    for number in range(6):
        verification = await scene.requested()
        attempt = await scene.captured(verification)
        scene.emulated.film(attempt.provider_session_id, "alice" if number == 5 else "mallory")
        begun.append(verification)
    for verification in begun:
        await scene.capture(verification)
    assert scene.outcomes() == [Outcome.FAILURE] * 6
