"""How the demo looks: a line for each step, a table at the end."""

from collections.abc import Sequence
from typing import Any, Final

import click

from cli.demo_cases import CASES, DOOR, HOPS, Seen
from cli.output import table
from cli.timeline import Step

_NONE: Final = "—"
_CASE_WIDTH: Final = max(len(case.name) for case in CASES)
_COLOURS: Final = {"SUCCESS": "green", "FAILURE": "yellow", "ERROR": "red"}
_HOP_NAMES: Final = (DOOR, *(name for name, _, _ in HOPS))


def step_line(case: str, step: Step, since_start_seconds: float, since_before_seconds: float) -> str:
    """Return one step as a line: seconds since the start, case, milliseconds since the step before, what it was."""
    to = f" → {step.to}" if step.to else ""
    name = click.style(f"{case:{_CASE_WIDTH}}", bold=True)
    since = f"{since_before_seconds * 1000:+7.0f} ms"
    return f"{since_start_seconds:7.3f} s  {name}  {since}  {step.step:22}  {step.detail}{to}".rstrip()


def result_table(cases: Sequence[Seen]) -> str:
    """Return the table of all cases, times in milliseconds."""
    rows = [("case", "asked", "answered", "checked", *_HOP_NAMES)]
    for seen in cases:
        hops = seen.hops()
        rows.append(
            (
                seen.case.name,
                _statuses(seen),
                seen.answered or _NONE,
                _checked(seen),
                *(f"{hops[name]:.1f}" if name in hops else _NONE for name in _HOP_NAMES),
            )
        )
    head, *lines = table(rows, right=frozenset(range(4, len(rows[0]))))
    coloured = [_coloured(line, seen) for line, seen in zip(lines, cases, strict=True)]
    return "\n".join([click.style(head, underline=True), *coloured, "own time of each hop in milliseconds"])


def result_json(cases: Sequence[Seen], seconds: float) -> dict[str, Any]:
    """Return the results as one JSON object."""
    return {
        "ok": not any(seen.deviations() for seen in cases),
        "seconds": round(seconds, 3),
        "cases": [
            {
                "case": seen.case.name,
                "verification_id": seen.verification_id,
                "asked": list(seen.statuses),
                "answered": seen.answered,
                "checked": not seen.unverified if seen.results or seen.unverified else None,
                "milliseconds": {name: round(value, 3) for name, value in seen.hops().items()},
                "deviations": seen.deviations(),
            }
            for seen in cases
        ],
    }


def _statuses(seen: Seen) -> str:
    if len(set(seen.statuses)) == 1 and len(seen.statuses) > 1:
        return f"{len(seen.statuses)} x {seen.statuses[0]}"
    return " ".join(map(str, seen.statuses)) or _NONE


def _checked(seen: Seen) -> str:
    if seen.unverified:
        return "signature wrong"
    return "signature ok" if seen.results else _NONE


def _coloured(line: str, seen: Seen) -> str:
    answered = seen.answered
    return line.replace(answered, click.style(answered, fg=_COLOURS.get(answered)), 1) if answered else line
