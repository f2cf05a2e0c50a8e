"""Verifications of persons, and the verdict service without its broker, on the emulated AWS."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.verdict.announcing import Announcing
from services.verdict.answering import Answering
from services.verdict.auditing import Auditing
from services.verdict.comparison import RekognitionFaces
from services.verdict.evidence import EvidenceStore
from services.verdict.handlers import Verdicts
from services.verdict.history import History
from services.verdict.openings import Openings
from services.verdict.policy import Limits
from services.verdict.proofs import Proofs
from services.verdict.terms import Rule, TermsTable
from shared.answer_box import AnswerBox
from shared.enrolled_factors import EnrolledFactors
from shared.events import (
    CaptureCompleted,
    DeadlinePassed,
    Outcome,
    PostRequested,
    ProofGiven,
    VerdictReached,
    VerificationOpened,
)
from shared.failure_tallies import FailureTallies
from shared.failures import Bounds, Kind
from shared.legal_photos import LegalPhotos
from shared.liveness import LivenessProvider
from shared.liveness_providers import only
from shared.liveness_rekognition import RekognitionProvider
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.stores import Tables
from shared.verification import Attempt, State, Verification
from shared.verifications import Verifications
from tests.support.emulated_aws import Emulated, EmulatedAws
from tests.support.received import received
from tests.support.recording import RecordingPublisher

ATTEMPTS = 3
MOST_WRONG = 3


FAILURES = Bounds(dict.fromkeys(Kind, 3))


@dataclass
class Scene:
    """Verifications of persons, and the verdict service without its broker; ``ahead`` moves the service's clock."""

    emulated: Emulated
    publisher: RecordingPublisher
    ahead: timedelta = timedelta()
    provider: LivenessProvider | None = None
    rules: Sequence[Rule] = ()
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)  # other tests' persons have other histories
    limits: Limits = field(default_factory=Limits)
    whoms: str = ""  # for whom the next attempts' failures are counted
    aws: EmulatedAws | None = None  # the service's own way to the stores, when it is not the test's

    @property
    def tables(self) -> Tables:
        return Tables(self.aws, self.emulated.settings) if self.aws else self.emulated.tables

    @property
    def verifications(self) -> Verifications:
        return Verifications(self.tables)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def verdicts(self) -> Verdicts:
        aws, settings = self.aws or self.emulated.aws, self.emulated.settings
        keys = PersonKeys(aws, self.tables, settings) if self.aws else self.emulated.keys
        photos = LegalPhotos(aws, keys, settings) if self.aws else self.emulated.photos
        return Verdicts(
            verifications=self.verifications,
            providers=only(self.provider or RekognitionProvider(aws)),
            evidence=EvidenceStore(aws, settings.bucket, keys),
            faces=RekognitionFaces(aws, photos),
            proofs=self.proofs,
            failures=FailureTallies(self.tables, FAILURES),
            announcing=self.announcing(self.publisher),
            most_attempts=ATTEMPTS,
            clock=self.clock,
        )

    @property
    def proofs(self) -> Proofs:
        terms = TermsTable(self.rules, least_confidence_percent=80.0, least_similarity_percent=99.0)
        return Proofs(history=History(self.tables, 365), factors=self.factors, terms=terms, limits=self.limits)

    @property
    def factors(self) -> EnrolledFactors:
        aws, settings = self.aws or self.emulated.aws, self.emulated.settings
        keys = PersonKeys(aws, self.tables, settings) if self.aws else self.emulated.keys
        return EnrolledFactors(self.tables, Queries(aws, settings), keys)

    @property
    def box(self) -> AnswerBox:
        return AnswerBox(self.aws or self.emulated.aws, self.emulated.settings)

    @property
    def answering(self) -> Answering:
        return Answering(
            verifications=self.verifications,
            proofs=self.proofs,
            factors=self.factors,
            box=self.box,
            failures=FailureTallies(self.tables, FAILURES),
            announcing=self.announcing(self.publisher),
            most_wrong=MOST_WRONG,
            clock=self.clock,
        )

    async def answered(self, verification: Verification, text: str, number: int = 1) -> Verification:
        """Let the person's browser give an answer, and the verdict look at it; return the record."""
        sealed = await self.box.close(verification.verification_id, text)
        await self.verifications.answer(verification.verification_id, "", sealed, self.clock())
        await self.given(verification, number)
        return await self.record(verification)

    async def given(self, verification: Verification, number: int = 1) -> None:
        data = ProofGiven(verification_id=verification.verification_id, number=number)
        await self.answering.on_given(received(data))

    def announcing(self, publisher: RecordingPublisher) -> Announcing:
        return Announcing(
            verifications=self.verifications,
            publisher=publisher,
            auditing=Auditing(self.verifications, self.emulated.trail),
            close_subject="ClosePopup@Wallet",
            answer_subject="LocatorVerified@Domain",
            answer_seconds=600.0,
        )

    async def requested(self, person: str = "alice", *, faces: int = 1, **more: Any) -> Verification:
        """Write a verification of ``person``; an empty one is an unknown locator."""
        owner = f"{person}-{self.mark}"
        photo = await self.emulated.put_photo(owner, faces, shows=person) if person else None
        fields: dict[str, Any] = {
            "verification_id": str(uuid.uuid4()),
            "state": State.OPENED if person else State.REQUESTED,
            "locator": "loc-1",
            "expires_at": int(time.time()) + 600,
            "created_at": int(time.time()),
            "requester": "shop.example",
            "generation": "nlweb",
            "correlation": "c-1",
        }
        if photo is not None:
            fields |= {
                "person": owner, "wallet_domain": "wallet.example", "wallet_id": f"w-{person}",
                "photo_key": photo.key, "photo_version": photo.version, "photo_sha256": photo.sha256,
            }  # fmt: skip
        verification = Verification(**{**fields, **more})
        await self.verifications.create(verification)
        return verification

    async def begun(
        self, verification: Verification, number: int = 1, session: str | None = None, provider: str = "rekognition"
    ) -> Attempt:
        """Write an attempt with a session of its own."""
        rekognition = self.emulated.aws.client("rekognition")
        attempt = Attempt(
            verification_id=verification.verification_id,
            attempt=number,
            provider=provider,
            provider_session_id=session or rekognition.create_face_liveness_session()["SessionId"],
            created_at=int(time.time()),
            expires_at=int(time.time()) + 165,
            person=verification.person,
            photo_key=verification.photo_key,
            photo_version=verification.photo_version,
            photo_sha256=verification.photo_sha256,
            whoms=self.whoms,
        )
        await self.verifications.begin(attempt)
        return attempt

    async def captured(self, verification: Verification, number: int = 1, session: str | None = None) -> Attempt:
        """Write an attempt whose page has said that it is done."""
        attempt = await self.begun(verification, number, session)
        await self.verifications.capture(verification.verification_id, "")
        return attempt

    async def checked(self, person: str = "alice", **camera: Any) -> tuple[Verification, Attempt]:
        """Return a verification of alice whose page is done, and her attempt, in which ``person`` was filmed."""
        verification = await self.requested()
        attempt = await self.captured(verification)
        self.emulated.film(attempt.provider_session_id, person, **camera)
        return verification, attempt

    async def capture(self, verification: Verification, attempt: int = 1, **more: Any) -> None:
        data = CaptureCompleted(verification_id=verification.verification_id, attempt=attempt)
        await self.verdicts.on_capture(received(data, **more))

    async def opened(self, verification: Verification) -> None:
        openings = Openings(
            verifications=self.verifications,
            proofs=self.proofs,
            announcing=self.announcing(self.publisher),
            clock=self.clock,
        )
        await openings.on_opened(received(VerificationOpened(verification_id=verification.verification_id)))

    async def deadline(self, verification: Verification, attempt: int | None = None, looks: int = 1) -> None:
        data = DeadlinePassed(verification_id=verification.verification_id, attempt=attempt)
        await self.verdicts.on_deadline(received(data, attempt=looks))

    async def verified(self, person: str = "alice", camera: str = "", **more: Any) -> Verification:
        """Let a verification of ``person`` run to the end of its first check; ``camera`` says who is filmed instead."""
        verification = await self.requested(person, **more)
        attempt = await self.captured(verification)
        self.emulated.film(attempt.provider_session_id, camera or person)
        await self.capture(verification)
        return await self.record(verification)

    async def record(self, verification: Verification) -> Verification:
        found = await self.verifications.get(verification.verification_id)
        assert found is not None
        return found

    def outcomes(self) -> list[Outcome]:
        return [
            sent.data.outcome for sent in self.publisher.of(VerdictReached) if isinstance(sent.data, VerdictReached)
        ]

    def posts(self) -> dict[str, PostRequested]:
        """Return the messages by subject."""
        found = [sent.data for sent in self.publisher.of(PostRequested)]
        return {post.subject: post for post in found if isinstance(post, PostRequested)}

    async def ended_without_answer(self, verification: Verification, *, trouble: bool = False) -> None:
        """Check that the attempt has ended, nobody was told anything, and no picture was kept."""
        record = await self.record(verification)
        assert (record.state, record.attempt_open, record.trouble) == (State.OPENED, False, trouble)
        assert self.publisher.sent == []
        assert self.emulated.evidence(verification.verification_id) == []
