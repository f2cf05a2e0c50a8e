"""``docs/policy.md``: the decision table, made by asking the code that decides for every combination of facts."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from services.verdict.domain import Match
from services.verdict.policy import Facts, Proof, Risk, conclude, proof_for
from services.verdict.settings import VerdictSettings
from services.verdict.terms import TermsFile

_INTRODUCTION: Final = """\
# How much proof is asked for

Each row was written by asking the code that decides (`services/verdict/policy.py`), which goes by nothing else. More
risk never means less proof: tests hold that for generated contexts and histories.

## What is looked at

The context is what the session service has seen of the browser that opened the page, and what the wallet has signed.
The history is how the person's last checks ended, and in which context. Both are read from the stores, never from a
page or an event.

| fact | holds when | setting (default) |
| --- | --- | --- |
"""
_FACTS: Final = (
    (
        "locked",
        (
            "so many checks failed within the window, and the lock-out that they began is not over; it doubles with "
            "each further full number within a day, up to a day"
        ),
        ("lock_out_failures", "lock_out_window_seconds", "lock_out_seconds"),
    ),
    (
        "recent",
        (
            "a success not older than this, on the same device, so near, for the same class of requester, and no "
            "failure since"
        ),
        ("skip_seconds", "near_kilometres"),
    ),
    (Risk.NEW_DEVICE, "devices of earlier successes are known, and this is none of them or is not told", ()),
    (
        Risk.ELSEWHERE,
        (
            "countries or places of earlier successes are known, and this is another country, farther than this from "
            "every place, or not told"
        ),
        ("far_kilometres",),
    ),
    (Risk.LONG_ABSENT, "neither a success nor the enrolment is younger than this", ("absent_days",)),
    (Risk.FAILED_LATELY, "two or more checks failed within the window", ("lock_out_window_seconds",)),
)
_MEANING: Final = {
    Proof.NOTHING: "none",
    Proof.SCAN: "one scan",
    Proof.SCAN_TWICE: "two scans",
    Proof.LOCKED: "none is taken",
}
_MATCHES: Final = {
    Match.SAME: "live, the legal photo's person",
    Match.OTHER: "not live, or another person",
    Match.NO_FACE: "live, but not one face that can be compared",
}


def policy_document() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION.rstrip("\n")
    for name, meaning, settings in _FACTS:
        yield f"| {name} | {meaning} | {_settings(settings)} |"
    yield "\nA person of whom nothing is remembered has no risk but a long absence since the enrolment.\n"
    yield "## What is asked\n"
    yield "| facts | proof asked for | where the terms say `scan twice` | where they say `may_skip: false` |"
    yield "| --- | --- | --- | --- |"
    yield from _proof_rows()
    yield "\n*None*: the success of a moment ago stands for it. *Two scans*: two sessions, each of which must succeed."
    yield "*None is taken*: the verification fails, whatever is shown."
    yield "\n## What a check leads to\n"
    yield "| the check shows | one scan is asked for | two are, this is the first | this is the second | locked out |"
    yield "| --- | --- | --- | --- | --- |"
    for match, label in _MATCHES.items():
        cells = (
            conclude(match, Proof.SCAN, 0),
            conclude(match, Proof.SCAN_TWICE, 0),
            conclude(match, Proof.SCAN_TWICE, 1),
            conclude(match, Proof.LOCKED, 0),
        )
        yield f"| {label} | " + " | ".join(cell.replace("_", " ") for cell in cells) + " |"
    yield _TERMS.format(fields="\n".join(_rule_fields()))


def _settings(names: tuple[str, ...]) -> str:
    fields = VerdictSettings.model_fields
    return ", ".join(f"`FACESCAN_{name.upper()}` ({fields[name].default:g})" for name in names) or "none"


def _proof_rows() -> Iterator[str]:
    yield _proof_row("locked, whatever else", [Facts(locked=True)])
    for recent in (True, False):
        label = "recent, " if recent else ""
        several = [
            Facts(recent=recent, risks=frozenset(risks))
            for number in range(2, len(Risk) + 1)
            for risks in combinations(Risk, number)
        ]
        yield _proof_row(f"{label}no risk", [Facts(recent=recent)])
        for risk in Risk:
            yield _proof_row(f"{label}{risk}", [Facts(recent=recent, risks=frozenset([risk]))])
        yield _proof_row(f"{label}two or more risks", several)


def _proof_row(label: str, alike: Sequence[Facts]) -> str:
    """Return the row of facts that are all answered alike. Raises ValueError when they are not."""
    rows = {(proof_for(facts), proof_for(facts, Proof.SCAN_TWICE), proof_for(facts, may_skip=False)) for facts in alike}
    (proofs,) = rows
    return f"| {label} | " + " | ".join(_MEANING[proof] for proof in proofs) + " |"


def _rule_fields() -> Iterator[str]:
    rule = TermsFile.model_json_schema(by_alias=True)["$defs"]["Rule"]["properties"]
    meanings = {
        "least_confidence_percent": "Below this liveness confidence a check is not live.",
        "least_similarity_percent": "Below this similarity the face is not the legal photo's.",
    }
    for name, schema in rule.items():
        yield f"| `{name}` | {schema.get('description') or meanings[name]} |"


_TERMS: Final = """
*once more*: the session counts, cannot be used again, and the page offers the next check; it uses up no try. *no use*:
the person may try again. That one session of two has succeeded is told to nobody.

## Terms per requester and purpose

`FACESCAN_VERDICT_TERMS` names a JSON file; a wrong one ends the start with a line that says where. The first rule that
fits is used, and what it leaves out stays as the settings say.

    {{"rules": [
      {{"requester": "bank.example", "purpose": "open an account", "least_confidence_percent": 90,
        "least_proof": "scan twice"}},
      {{"requester": "bank.example", "class": "banks", "may_skip": false}},
      {{"requester": "shop.example", "class": "shops"}}
    ]}}

| member | meaning |
| --- | --- |
{fields}

## What is not asked yet

Security questions and one-time passwords: neither is enrolled, nor has the page a step for them. Where more is to be
asked, it is the scan itself, twice."""
