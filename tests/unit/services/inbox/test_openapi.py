"""The OpenAPI document says what the door says."""

from services.inbox.domain import STATUS, Reason
from services.inbox.openapi import openapi

ANSWERS = openapi("1")["paths"]["/inbox"]["post"]["responses"]


def test_every_reason_stands_under_its_status_and_nothing_else_does() -> None:
    documented = {
        (reason, int(status))
        for status, answer in ANSWERS.items()
        if status != "200"
        for reason in answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["reason"][
            "enum"
        ]
    }
    assert documented == {(reason.value, STATUS[reason]) for reason in Reason}


def test_those_who_are_to_come_back_are_told_when() -> None:
    assert {status for status, answer in ANSWERS.items() if "headers" in answer} == {"429", "503"}
