"""What the demo makes of what came: deviations, times, the table."""

from typing import Any

import pytest

from cli.demo_cases import CASES, Case, Seen
from cli.demo_report import result_json, result_table
from cli.timeline import Step

SUCCESS = CASES[0]
FORGED = next(case for case in CASES if case.forge)
COPIES = next(case for case in CASES if case.copies > 1)
CORRELATION = "125a5c75-cb72-43d2-9695-37026dfcaa48"


def answer(result: str, *, verified: bool = True, duplicate: bool = False) -> dict[str, Any]:
    message = {"Body": {"Request": CORRELATION, "Result": result}}
    return {"verified": verified, "duplicate": duplicate, "message": message}


def seen(case: Case, *messages: dict[str, Any], statuses: tuple[int, ...] | None = None) -> Seen:
    found = Seen(case, correlation=CORRELATION, statuses=case.statuses if statuses is None else statuses)
    found.take_messages([{"verified": False, "duplicate": False, "message": None}, *messages])
    return found


def test_a_case_that_went_as_it_must_has_no_deviation() -> None:
    assert seen(SUCCESS, answer("SUCCESS")).deviations() == []
    assert seen(FORGED).deviations() == []
    assert seen(COPIES, answer("SUCCESS"), answer("SUCCESS", duplicate=True)).deviations() == []


@pytest.mark.parametrize(
    ("found", "deviation"),
    [
        (seen(SUCCESS, answer("FAILURE")), "success: answered: SUCCESS was expected, FAILURE came"),
        (seen(SUCCESS), "success: answered: SUCCESS was expected, none came"),
        (seen(SUCCESS, answer("SUCCESS"), statuses=(503,)), "success: asked: 200 was expected, 503 came"),
        (seen(FORGED, answer("SUCCESS")), "forged: answered: none was expected, SUCCESS came"),
        (
            seen(COPIES, answer("SUCCESS"), answer("SUCCESS")),
            "three copies: answered: SUCCESS was expected, SUCCESS and SUCCESS came",
        ),
        (
            seen(SUCCESS, answer("SUCCESS"), answer("SUCCESS", verified=False)),
            "success: checked: 1 answers could not be verified by the asking domain",
        ),
    ],
)
def test_each_deviation_is_a_line_that_says_what_was_expected(found: Seen, deviation: str) -> None:
    assert found.deviations() == [deviation]


def test_a_hop_is_the_time_from_the_step_that_begins_it_to_the_one_that_ends_it() -> None:
    found = seen(SUCCESS, answer("SUCCESS"))
    found.door_seconds = 0.005
    found.steps = [
        Step(10.000, "v", "inbox.accepted", "VerifyLocator@Identity from shop.example"),
        Step(10.010, "v", "verification.requested"),
        Step(10.030, "v", "post.requested", "OpenPopup@Wallet", "wallet.example"),
        Step(10.034, "v", "post.signed", "OpenPopup@Wallet", "wallet.example"),
        Step(11.000, "v", "post.requested", "OpenPopup@Wallet, attempt 2", "wallet.example"),
    ]
    assert found.hops() == pytest.approx({"door": 5.0, "route": 10.0, "prompt": 20.0, "sign": 4.0})


def test_the_table_is_aligned_and_shows_what_was_answered() -> None:
    lines = result_table([seen(SUCCESS, answer("SUCCESS")), seen(FORGED), seen(COPIES, answer("SUCCESS"))]).splitlines()
    assert [line.split()[0] for line in lines] == ["\x1b[4mcase", "success", "forged", "three", "own"]
    assert "3 x 200" in lines[3]
    assert "401" in lines[2]
    assert "—" in lines[2]


def test_the_json_says_whether_all_is_well() -> None:
    assert result_json([seen(SUCCESS, answer("SUCCESS")), seen(FORGED)], 1.0)["ok"] is True
    document = result_json([seen(SUCCESS)], 1.0)
    assert document["ok"] is False
    assert document["cases"][0]["checked"] is None
