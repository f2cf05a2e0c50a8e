"""Terms per requester and purpose: a JSON file of the operator's, read once at the start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.verdict.policy import Proof, Terms
from shared.domain_names import DomainName
from shared.errors import ConfigurationError
from shared.events import Purpose

# Systems of ours that ask by an event and read the verdict have no domain: together they are one class.
INTERNAL_CLASS: Final = "internal"
PROOFS: Final = {proof.words: proof for proof in Proof}

StepUp = Literal["scan and question", "scan and code", "scan twice", "scan twice and code"]


class Rule(BaseModel):
    """One rule; the first whose requester and purpose fit is used. What it leaves out stays as the settings say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requester: DomainName | None = Field(default=None, description="Who asks; absent: anybody.")
    purpose: Purpose | None = Field(default=None, description="The request's purpose, in any case; absent: any.")
    least_confidence_percent: float | None = Field(default=None, ge=0, le=100)
    least_similarity_percent: float | None = Field(default=None, ge=0, le=100)
    least_proof: Literal["scan", StepUp] = Field(default="scan", description="Whatever the risk.")
    may_skip: bool = Field(default=True, description="Whether a recent success may stand for the scan.")
    requester_class: str | None = Field(
        default=None,
        alias="class",
        max_length=100,
        description="A success for one requester of a class counts as recent for the others; absent: for itself alone.",
    )

    def fits(self, requester: str, purpose: str) -> bool:
        """Whether this rule is about such a request."""
        return self.requester in (None, requester) and (
            self.purpose is None or self.purpose.casefold() == purpose.casefold()
        )


class TermsFile(BaseModel):
    """The file that ``FACESCAN_VERDICT_TERMS`` names."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Terms of verdicts")

    rules: list[Rule]


def read_terms(path: Path | None) -> Sequence[Rule]:
    """Return the file's rules; none without a file. Raises ConfigurationError that names file, place and reason."""
    if path is None:
        return ()
    try:
        return tuple(TermsFile.model_validate_json(path.read_bytes()).rules)
    except OSError as error:
        raise ConfigurationError(f"FACESCAN_VERDICT_TERMS: {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ConfigurationError(f"FACESCAN_VERDICT_TERMS: {path}: {where}: {first['msg']}") from error


class TermsTable:
    """Answers which terms hold for a request."""

    def __init__(
        self, rules: Sequence[Rule], *, least_confidence_percent: float, least_similarity_percent: float
    ) -> None:
        self._rules = rules
        self._least_confidence_percent = least_confidence_percent
        self._least_similarity_percent = least_similarity_percent

    def of(self, requester: str, purpose: str) -> Terms:
        """Return the terms for a requester (a domain, empty for a system of ours) and a purpose."""
        rule = next((rule for rule in self._rules if rule.fits(requester, purpose)), Rule())
        confidence, similarity = rule.least_confidence_percent, rule.least_similarity_percent
        return Terms(
            least_confidence_percent=self._least_confidence_percent if confidence is None else confidence,
            least_similarity_percent=self._least_similarity_percent if similarity is None else similarity,
            least_proof=PROOFS[rule.least_proof],
            may_skip=rule.may_skip,
            requester_class=rule.requester_class or requester or INTERNAL_CLASS,
        )
