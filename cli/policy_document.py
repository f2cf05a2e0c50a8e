"""``docs/policy.md``: the decision table, made by asking the code that decides for every combination of facts."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from services.verdict.domain import Match
from services.verdict.policy import (
    Conclusion,
    Facts,
    Proof,
    Risk,
    Shown,
    conclude,
    conclude_answer,
    proof_for,
    within_reach,
)
from services.verdict.settings import VerdictSettings
from services.verdict.terms import TermsFile
from shared.factors import Factor

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
    Proof.SCAN_AND_QUESTION: "one scan and the question",
    Proof.SCAN_AND_CODE: "one scan and a code",
    Proof.SCAN_TWICE: "two scans",
    Proof.SCAN_TWICE_AND_CODE: "two scans and a code",
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
    yield "*A code*: a one-time password (TOTP). *None is taken*: the verification fails, whatever is shown."
    yield _STEPS.format(one=_setting("step_up"), more=_setting("step_up_more"))
    yield from _within_reach_rows()
    yield "\n## What a check leads to\n"
    yield (
        "| the check shows | one scan is asked for | two are, this is the first | this is the second | a question or "
        "code too, to come | locked out |"
    )
    yield "| --- | --- | --- | --- | --- | --- |"
    for match, label in _MATCHES.items():
        cells = (
            conclude(match, Proof.SCAN, Shown()),
            conclude(match, Proof.SCAN_TWICE, Shown()),
            conclude(match, Proof.SCAN_TWICE, Shown(passes=1)),
            conclude(match, Proof.SCAN_AND_CODE, Shown()),
            conclude(match, Proof.LOCKED, Shown()),
        )
        yield f"| {label} | " + " | ".join(cell.replace("_", " ") for cell in cells) + " |"
    yield _ANSWERS
    yield from _answer_rows()
    yield _TERMS.format(fields="\n".join(_rule_fields()))


_ORDER: Final = ", ".join(f"`{proof.words}`" for proof in Proof if Proof.NOTHING < proof < Proof.LOCKED)
_STEPS: Final = f"""
### Which step up, and of whom

From least to most: {_ORDER}
([ADR 25](adr/0025-answers-are-sealed-for-the-verdict.md) says why). One risk asks for {{one}},
two or more for {{more}}; the rows above are of these.
Of whom has not what is wanted, the next more is asked for; if there is none, the most that the person can give:

| wanted | question alone enrolled | code alone enrolled | neither |
| --- | --- | --- | --- |"""
_ANSWERS: Final = f"""
*ask*: the page asks the question, or for the code. It does so after a check that has failed, too: that somebody is
asked tells nobody how the check went.

## What an answer leads to

So many wrong answers as `FACESCAN_MOST_ANSWERS` ({VerdictSettings.model_fields["most_answers"].default}) says end a
verification; each counts as a failed check does ([docs/scan-page.md](scan-page.md)). A code counts once.

| after the check | the answer is right | it is wrong | wrong for the last time | locked out |
| --- | --- | --- | --- | --- |"""


def _within_reach_rows() -> Iterator[str]:
    for wanted in (proof for proof in Proof if proof.factor):
        proofs = (within_reach(wanted, factors) for factors in ([Factor.QUESTION], [Factor.CODE], []))
        yield f"| `{wanted.words}` | " + " | ".join(_MEANING[proof] for proof in proofs) + " |"


def _answer_rows() -> Iterator[str]:
    most = VerdictSettings.model_fields["most_answers"].default
    labels = (
        ("a good one, of one", Proof.SCAN_AND_CODE, Shown(passes=1)),
        ("a good one, of two", Proof.SCAN_TWICE_AND_CODE, Shown(passes=1)),
        ("one that failed", Proof.SCAN_AND_CODE, Shown(passes=1, refused=True)),
    )
    for label, proof, shown in labels:

        def led(asked: Proof, wrong: int, *, right: bool, before: Shown = shown) -> Conclusion:
            so_far = Shown(before.passes, before.refused, before.factors, wrong)
            return conclude_answer(asked, so_far, Factor.CODE, right=right, most_wrong=most)

        cells = (
            led(proof, 0, right=True),
            led(proof, 0, right=False),
            led(proof, most - 1, right=False),
            led(Proof.LOCKED, 0, right=True),
        )
        yield f"| {label} | " + " | ".join(cell.replace("_", " ") for cell in cells) + " |"


def _setting(name: str) -> str:
    return f"`FACESCAN_{name.upper()}` (`{VerdictSettings.model_fields[name].default}`)"


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

## What can be asked besides the face

A one-time password is TOTP (RFC 6238: SHA-1, six digits, 30 s, one step of drift), its secret made by `facescan factor
code`; a security question is one of a list that the page has in its languages, its answer kept as a slow hash
(scrypt). Both are sealed with the person's data key, opened by the verdict service alone, and go with the person. See
[docs/enrolment.md](enrolment.md#questions-and-one-time-passwords).

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
{fields}"""
