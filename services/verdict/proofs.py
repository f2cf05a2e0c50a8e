"""What is asked of a verification's person: the policy, fed with terms, history and the record's own context."""

from dataclasses import dataclass
from datetime import datetime

from services.verdict.history import History, Remembered, context_of
from services.verdict.policy import Limits, Past, Proof, Shown, Terms, facts_of, proof_for, within_reach
from services.verdict.terms import TermsTable
from shared.enrolled_factors import Asking, EnrolledFactors
from shared.events import Outcome
from shared.factors import Factor
from shared.stores import Put, Update
from shared.verification import Verification


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of the person, and what it was decided by."""

    proof: Proof
    remembered: Remembered
    asking: Asking | None = None  # of the proof's factor


class Proofs:
    """Asks the policy. Everything that it looks at is in stores: nothing is taken from a page or an event."""

    def __init__(self, *, history: History, factors: EnrolledFactors, terms: TermsTable, limits: Limits) -> None:
        self._history = history
        self._factors = factors
        self._terms = terms
        self._limits = limits

    def terms(self, verification: Verification) -> Terms:
        """Return the terms of whoever asked, for the purpose."""
        return self._terms.of(verification.requester, verification.purpose)

    async def asked(self, verification: Verification, now: datetime) -> Asked:
        """Return what is asked of the person at ``now``. Raises UnavailableError."""
        terms = self.terms(verification)
        remembered = await self._history.read(_whose(verification), now)
        facts = facts_of(
            context_of(verification),
            remembered.past,
            now=now.timestamp(),
            enrolled_at=verification.enrolled_at,
            requester_class=terms.requester_class,
            limits=self._limits,
        )
        wanted = proof_for(facts, terms.least_proof, may_skip=terms.may_skip, limits=self._limits)
        if wanted.factor is None:
            return Asked(wanted, remembered)
        # Read only where it matters: most verifications need no more than the scan.
        factors = await self._factors.of(_whose(verification))
        proof = within_reach(wanted, factors)
        return Asked(proof, remembered, factors[proof.factor] if proof.factor else None)

    def remember(self, verification: Verification, asked: Asked, outcome: Outcome, now: datetime) -> Put | Update:
        """Return the write that remembers how a check has decided."""
        check = Past(
            int(now.timestamp()),
            outcome is Outcome.SUCCESS,
            self.terms(verification).requester_class,
            context_of(verification),
        )
        return self._history.add(_whose(verification), asked.remembered, check)


def shown_in(verification: Verification) -> Shown:
    """Return what the person has shown so far, as the verification's record has it."""
    factors = frozenset(Factor(name) for name in verification.factors.split())
    return Shown(verification.passes, verification.refused, factors, verification.wrong_answers)


def _whose(verification: Verification) -> str:
    """Nobody, asked for by a hosted function (ADR 19), is another one each time; enrolment takes no such id."""
    return verification.person or f"(nobody) {verification.verification_id}"
