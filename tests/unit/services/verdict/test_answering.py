"""More is asked than the scan: a one-time password or a question, answered, counted, and decided with the check."""

import asyncio
import base64
import time
from datetime import timedelta

import pytest

from services.verdict.terms import Rule
from shared.enrolled_factors import Asking
from shared.errors import RetryLaterError, UnavailableError, UnprocessableError
from shared.events import Outcome
from shared.factors import STEP_SECONDS, Factor, one_time_password
from shared.sealing import MARK
from shared.stores import ConditionFailedError
from shared.tables import FACTORS, FAILURES
from shared.verification import State, Verification
from tests.unit.services.verdict.scene import MOST_WRONG, Scene

CODE = [Rule(least_proof="scan and code")]
QUESTION = [Rule(least_proof="scan and question")]


async def enrolled(scene: Scene, factor: Factor = Factor.CODE, person: str = "alice") -> bytes:
    """Enrol a factor of a person who has a photo; return the secret, or what the answer is."""
    owner = f"{person}-{scene.mark}"
    await scene.requested(person)
    if factor is Factor.CODE:
        return await scene.factors.enrol_code(owner)
    await scene.factors.enrol_question(owner, "first-pet", "Rex the 2nd")
    return b"Rex the 2nd"


def now_password(scene: Scene, secret: bytes, ahead: int = 0) -> str:
    return one_time_password(secret, int(scene.clock().timestamp()) // STEP_SECONDS + ahead)


def wrong_password(scene: Scene, secret: bytes) -> str:
    right = {now_password(scene, secret, ahead) for ahead in range(-3, 4)}
    return next(f"{number:06d}" for number in range(100) if f"{number:06d}" not in right)


async def asked(scene: Scene, camera: str = "alice") -> Verification:
    """Let a check run to where more is asked."""
    verification = await scene.verified(camera=camera)
    assert (verification.state, verification.attempt_open) == (State.ASKED, False)
    return verification


async def test_after_the_check_the_password_is_asked_for_and_makes_it_a_success(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    verification = await asked(scene)
    assert verification.asks == "code"
    assert scene.publisher.sent == []
    assert scene.emulated.evidence(verification.verification_id) == []
    record = await scene.answered(verification, now_password(scene, secret))
    assert (record.state, record.outcome, record.answer) == (State.ANNOUNCED, "success", "")
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_the_answer_to_the_question_is_taken_in_any_case(scene: Scene) -> None:
    scene.rules = QUESTION
    await enrolled(scene, Factor.QUESTION)
    verification = await asked(scene)
    assert verification.asks == "question first-pet"
    record = await scene.answered(verification, "rex, the 2ND")
    assert record.outcome == "success"


async def test_what_the_page_sees_after_a_check_that_failed_is_the_same_and_no_answer_helps(scene: Scene) -> None:
    """Nobody learns by being asked, or not, how a check went."""
    scene.rules, secret = CODE, await enrolled(scene)
    good, bad = await asked(scene), await asked(scene, "mallory")
    for one in (good, bad):
        assert (one.asks, one.tries_used, one.attempt, one.ended_attempt) == ("code", 0, 1, 1)
    bad = await scene.answered(bad, wrong_password(scene, secret))
    assert (bad.state, bad.wrong_answers, scene.outcomes()) == (State.ASKED, 1, [])
    assert (await scene.answered(bad, now_password(scene, secret), 2)).outcome == "failure"


async def test_a_check_that_failed_counts_as_a_failure_though_nobody_answers(scene: Scene) -> None:
    scene.rules, scene.whoms = CODE, f"person:{scene.mark}"
    await enrolled(scene)
    verification = await asked(scene, "mallory")
    past = (await scene.proofs.asked(verification, scene.clock())).remembered.past
    assert [one.success for one in past] == [False]
    assert await scene.tables.get(FAILURES.name, {"whom": scene.whoms})
    scene.ahead = timedelta(hours=1)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]
    past = (await scene.proofs.asked(verification, scene.clock())).remembered.past
    assert [one.success for one in past] == [False]


async def test_wrong_passwords_are_bounded_and_each_is_counted_in_the_store(scene: Scene) -> None:
    scene.rules, secret, scene.whoms = CODE, await enrolled(scene), f"person:{scene.mark}"
    verification = await asked(scene)
    for number in range(1, MOST_WRONG):
        record = await scene.answered(verification, wrong_password(scene, secret), number)
        assert (record.state, record.wrong_answers, record.asks) == (State.ASKED, number, "code")
    record = await scene.answered(verification, wrong_password(scene, secret), MOST_WRONG)
    assert (record.outcome, record.wrong_answers) == ("failure", MOST_WRONG)
    # Three of the scene's bound of three: whoever guesses is blocked.
    tally = await scene.tables.get(FAILURES.name, {"whom": scene.whoms})
    assert tally is not None
    assert int(tally["blocked_until"]) > time.time()
    # And a right one comes too late.
    assert (await scene.answered(verification, now_password(scene, secret), 9)).outcome == "failure"


async def test_a_password_counts_once_for_whatever_verification(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    first, second = await asked(scene), await asked(scene)
    password = now_password(scene, secret)
    assert (await scene.answered(first, password)).outcome == "success"
    again = await scene.answered(second, password)
    assert (again.state, again.wrong_answers) == (State.ASKED, 1)
    assert (await scene.answered(second, now_password(scene, secret, 1), 2)).outcome == "success"


async def test_two_that_show_one_password_at_once_are_one_success(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    both = [await asked(scene), await asked(scene)]
    password = now_password(scene, secret)

    async def answer(verification: Verification) -> None:
        sealed = await scene.box.close(verification.verification_id, password)
        await scene.verifications.answer(verification.verification_id, "", sealed, scene.clock())
        while (await scene.record(verification)).state is State.ANSWERED:
            try:
                await scene.given(verification)
            except (RetryLaterError, UnavailableError):
                await asyncio.sleep(0.01)

    await asyncio.gather(*(answer(one) for one in both))
    states = sorted([(await scene.record(one)).state for one in both])
    assert states == [State.ANNOUNCED, State.ASKED]
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_a_password_is_measured_by_when_it_was_given_not_by_when_somebody_looks(scene: Scene) -> None:
    """The verdict service was away for two minutes: no fault of the person's."""
    scene.rules, secret = CODE, await enrolled(scene)
    verification = await asked(scene)
    sealed = await scene.box.close(verification.verification_id, now_password(scene, secret))
    await scene.verifications.answer(verification.verification_id, "", sealed, scene.clock())
    scene.ahead = timedelta(seconds=120)
    await scene.given(verification)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_an_old_password_is_wrong(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    record = await scene.answered(await asked(scene), now_password(scene, secret, -3))
    assert (record.state, record.wrong_answers) == (State.ASKED, 1)


async def test_the_event_says_nothing_and_however_often_it_comes_it_counts_once(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    verification = await asked(scene)
    await scene.given(verification)  # forged, or early: nothing was answered
    assert (await scene.record(verification)).state is State.ASKED
    await scene.answered(verification, wrong_password(scene, secret))
    for _ in range(3):
        await scene.given(verification)
    assert (await scene.record(verification)).wrong_answers == 1
    await scene.answered(verification, now_password(scene, secret), 2)
    for _ in range(3):
        await scene.given(verification, 2)
    assert scene.outcomes() == [Outcome.SUCCESS]
    with pytest.raises(UnprocessableError):
        await scene.given(Verification("00000000-0000-4000-8000-000000000000", State.ASKED, "l", 0, 0))


async def test_two_scans_and_a_password_are_three_steps_that_tell_nothing(scene: Scene) -> None:
    scene.rules, secret = [Rule(least_proof="scan twice and code")], await enrolled(scene)
    verification = await asked(scene)
    record = await scene.answered(verification, now_password(scene, secret))
    assert (record.state, record.passes, record.factors) == (State.OPENED, 1, "code")
    assert scene.outcomes() == []
    attempt = await scene.captured(verification, 2)
    scene.emulated.film(attempt.provider_session_id, "alice")
    await scene.capture(verification, 2)
    assert scene.outcomes() == [Outcome.SUCCESS]


async def test_no_check_begins_while_an_answer_is_waited_for(scene: Scene) -> None:
    scene.rules = CODE
    await enrolled(scene)
    verification = await asked(scene)
    with pytest.raises(ConditionFailedError):
        await scene.begun(verification, 2)


async def test_who_has_nothing_enrolled_is_scanned_twice_instead(scene: Scene) -> None:
    scene.rules = CODE
    record = await scene.verified()
    assert (record.state, record.passes) == (State.OPENED, 1)
    assert scene.outcomes() == []


async def test_a_factor_that_is_gone_or_another_by_now_is_answered_wrongly(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    verification = await asked(scene)
    await scene.factors.enrol_code(verification.person)
    assert (await scene.answered(verification, now_password(scene, secret))).wrong_answers == 1
    assert await scene.factors.remove(verification.person, Factor.CODE)
    assert not await scene.factors.remove(verification.person, Factor.CODE)
    assert (await scene.answered(verification, now_password(scene, secret), 2)).wrong_answers == 2


async def test_an_answer_in_another_verification_s_record_does_not_open(scene: Scene) -> None:
    scene.rules, secret = CODE, await enrolled(scene)
    one, other = await asked(scene), await asked(scene)
    sealed = await scene.box.close(one.verification_id, now_password(scene, secret))
    await scene.verifications.answer(other.verification_id, "", sealed, scene.clock())
    await scene.given(other)
    assert (await scene.record(other)).wrong_answers == 1
    assert await scene.box.open(one.verification_id, "bm90IHNlYWxlZA==") is None


async def test_only_the_browser_of_the_page_answers(scene: Scene) -> None:
    scene.rules = CODE
    await enrolled(scene)
    verification = await asked(scene)
    found = await scene.verifications.answer(verification.verification_id, "another's", "x", scene.clock())
    assert found is not None
    assert found.state is State.ASKED


async def test_kms_away_is_waited_for_and_ends_as_no_answer(scene: Scene) -> None:
    """Never a denial (rule 10): the person has done what was asked."""
    scene.rules, secret = CODE, await enrolled(scene)
    verification = await asked(scene)
    sealed = await scene.box.close(verification.verification_id, now_password(scene, secret))
    await scene.verifications.answer(verification.verification_id, "", sealed, scene.clock())
    scene.ahead = timedelta(hours=1)
    with pytest.raises(RetryLaterError):
        await scene.deadline(verification)
    await scene.deadline(verification, looks=6)
    assert scene.outcomes() == [Outcome.ERROR]
    assert (await scene.record(verification)).answer == ""


async def test_who_does_not_answer_has_not_shown_who_they_are(scene: Scene) -> None:
    scene.rules = CODE
    await enrolled(scene)
    verification = await asked(scene)
    scene.ahead = timedelta(hours=1)
    await scene.deadline(verification)
    assert scene.outcomes() == [Outcome.FAILURE]


async def test_secrets_and_answers_are_sealed_in_their_table(scene: Scene) -> None:
    secret = await enrolled(scene)
    await enrolled(scene, Factor.QUESTION)
    owner = f"alice-{scene.mark}"
    for factor in Factor:
        item = await scene.tables.get(FACTORS.name, {"person": owner, "factor": factor})
        assert item is not None
        sealed = base64.b64decode(str(item["sealed"]))
        assert sealed.startswith(MARK)
        assert secret not in sealed
        assert b"Rex" not in sealed
    assert await scene.factors.of(owner) == {
        Factor.CODE: Asking(Factor.CODE),
        Factor.QUESTION: Asking(Factor.QUESTION, "first-pet"),
    }
    with pytest.raises(ValueError, match="no such question"):
        await scene.factors.enrol_question(owner, "shoe-size", "44")
