"""Supervised matches: a trusted domain's own camera took the picture, and asks whether it shows a locator's owner.

A picture of the person's own device is no proof; one of a border gate's or an embassy's fixed camera is (protocol §6).
It comes by a one-time upload, never inside a message or an event, and is removed in the step that has looked at it.
"""

import base64
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from services.verdict.announcing import Announcing
from services.verdict.comparison import Faces
from services.verdict.domain import Match
from services.verdict.terms import TermsTable
from shared.broker import Publisher
from shared.delays import publish_at
from shared.errors import UnavailableError, UnprocessableError
from shared.events import MatchRequested, Outcome, PostRequested, Requester, derived_id, utc_text
from shared.object_versions import ObjectVersions
from shared.people import People
from shared.received import Received
from shared.stores import Aws, ServiceError, read_object
from shared.tables import EVIDENCE_PREFIX
from shared.verification import ENDED, FORGET_AFTER_SECONDS, Attempt, State, Verification
from shared.verifications import Verifications

log = logging.getLogger(__name__)

MOST_PICTURE_BYTES: Final = 5 * 1024 * 1024
_TYPE: Final = "application/octet-stream"
_PURPOSE: Final = "supervised match"
_OUTCOMES: Final = {Match.SAME: Outcome.SUCCESS, Match.OTHER: Outcome.FAILURE, Match.NO_FACE: Outcome.FAILURE}


@dataclass(frozen=True, slots=True)
class Offer:
    """Where one picture may be put, once, and the headers that must go with it."""

    url: str
    headers: dict[str, str]


class Uploads:
    """One-time uploads in the bucket of pictures."""

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket
        self._versions = ObjectVersions(aws)

    def _key(self, upload: str) -> str:
        return f"{EVIDENCE_PREFIX}{upload}/upload"

    async def offer(self, upload: str, sha256: str, size: int, seconds: float) -> Offer:
        """Return an address that takes exactly the announced picture, once, for so long."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        signed: dict[str, Any] = {
            "Bucket": self._bucket, "Key": self._key(upload), "ContentLength": size, "ChecksumSHA256": digest,
            "IfNoneMatch": "*",
            "ContentType": _TYPE,
        }  # fmt: skip
        url = await self._aws.call(
            "s3.PresignPutObject",
            partial(self._aws.presigner().generate_presigned_url, "put_object"),
            Params=signed,
            ExpiresIn=int(seconds),
        )
        headers = {"x-amz-checksum-sha256": digest, "If-None-Match": "*", "Content-Length": str(size)}
        return Offer(str(url), {**headers, "Content-Type": _TYPE})

    async def read(self, upload: str) -> bytes | None:
        """Return the picture; None: nothing was uploaded. Raises UnavailableError."""
        place = {"Bucket": self._bucket, "Key": self._key(upload)}
        try:
            data: bytes = await self._aws.call("s3.GetObject", partial(read_object, self._aws.client("s3")), **place)
        except ServiceError as error:
            if error.code in ("NoSuchKey", "404"):
                return None
            raise UnavailableError(str(error)) from error
        return data

    async def forget(self, upload: str) -> None:
        """Remove every version of the picture. Raises UnavailableError."""
        await self._versions.remove([one async for one in self._versions.find(self._bucket, self._key(upload))])


class Supervised:
    """Handles ``match.requested``."""

    def __init__(
        self,
        *,
        people: People,
        verifications: Verifications,
        uploads: Uploads,
        faces: Faces,
        terms: TermsTable,
        announcing: Announcing,
        publisher: Publisher,
        supervisors: Collection[str],
        upload_seconds: float,
        offer_subject: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._people = people
        self._verifications = verifications
        self._uploads = uploads
        self._faces = faces
        self._terms = terms
        self._announcing = announcing
        self._publisher = publisher
        self._supervisors = supervisors
        self._upload_seconds = upload_seconds
        self._offer_subject = offer_subject
        self._clock = clock

    async def on_requested(self, received: Received[MatchRequested]) -> None:
        """Offer an upload, match what was uploaded, or remove what nobody asked about."""
        data = received.data
        if data.action == "expire":
            await self._end(data.upload, None)
        elif data.requester is None or data.requester.domain not in self._supervisors:
            await self._refuse(data)
        elif data.action == "upload":
            await self._offer(data, data.requester)
        else:
            await self._match(data, data.requester)

    async def _refuse(self, data: MatchRequested) -> None:
        if data.requester is None:
            raise UnprocessableError("requester: a supervised match is asked for by a message alone")
        log.info("supervised match refused", extra={"upload": data.upload, "requester": data.requester.domain})
        body = {"Request": data.requester.correlation, "Result": "REFUSED"}
        await self._post(data, data.requester, body)

    async def _offer(self, data: MatchRequested, requester: Requester) -> None:
        if data.locator is None or data.sha256 is None or data.size is None:
            raise UnprocessableError("locator, sha256, size: all are needed for an upload")
        now = self._clock()
        person = await self._people.find(data.locator, now)
        expires = now + timedelta(seconds=self._upload_seconds)
        expires_at = int(expires.timestamp())
        record = await self._verifications.create(
            Verification(
                verification_id=data.upload, state=State.REQUESTED, locator=data.locator, expires_at=expires_at,
                created_at=int(now.timestamp()), requester=requester.domain, generation=requester.generation,
                correlation=requester.correlation, purpose=_PURPOSE, person=person.person if person else "",
                photo_key=person.photo.key if person else "", photo_version=person.photo.version if person else "",
                photo_sha256=person.photo.sha256 if person else "", forget_at=expires_at + FORGET_AFTER_SECONDS,
            )
        )  # fmt: skip
        over = datetime.fromtimestamp(record.expires_at, UTC)
        await publish_at(self._publisher, MatchRequested(upload=data.upload, action="expire"), over, "expire")
        left = record.expires_at - now.timestamp()
        if record.state in ENDED or left <= 0:
            return
        offer = await self._uploads.offer(data.upload, data.sha256, data.size, left)
        body = {
            "Request": requester.correlation, "Result": "OFFERED", "Upload": data.upload, "Url": offer.url,
            "Headers": offer.headers, "Expires": utc_text(over),
        }  # fmt: skip
        await self._post(data, requester, body)

    async def _post(self, data: MatchRequested, requester: Requester, body: dict[str, Any]) -> None:
        post = PostRequested(
            to=requester.domain,
            subject=self._offer_subject,
            body=body,
            generation=requester.generation,
            correlation=derived_id("upload", data.upload, requester.correlation),
            order_key=data.upload,
        )
        await self._publisher.publish(post, "upload", data.upload, requester.correlation)

    async def _match(self, data: MatchRequested, requester: Requester) -> None:
        found = await self._verifications.get(data.upload)
        if found is None or found.requester != requester.domain or found.purpose != _PURPOSE:
            # Another domain's upload is as unknown as none.
            await self._refuse(data)
            return
        if found.state in ENDED:
            await self._end(data.upload, None)
            return
        picture = await self._uploads.read(data.upload)
        if picture is None:
            raise UnprocessableError("upload: nothing was uploaded")
        terms = self._terms.of(found.requester, found.purpose)
        match = await self._faces.compare(picture, _subject(found), terms.least_similarity_percent)
        # Of nobody the picture is compared with itself, which is never a yes.
        await self._end(data.upload, _OUTCOMES[match] if found.known else Outcome.FAILURE)

    async def _end(self, upload: str, outcome: Outcome | None) -> None:
        """Decide, remove the picture, answer; without an outcome the time is over, and nobody could be matched."""
        found = await self._verifications.get(upload)
        if found is None:
            raise UnprocessableError("upload: there is none of this name")
        if found.state not in ENDED:
            found = await self._verifications.decide(found, outcome or Outcome.ERROR, self._clock())
        # Before the answer: whoever reads it may rely on that nothing is left.
        await self._uploads.forget(upload)
        await self._announcing.announce(found)


def _subject(record: Verification) -> Attempt:
    """Return who is compared with what, pinned when the upload was offered."""
    return Attempt(
        verification_id=record.verification_id, attempt=0, provider="supervised", provider_session_id="",
        created_at=record.created_at, expires_at=record.expires_at, person=record.person, photo_key=record.photo_key,
        photo_version=record.photo_version, photo_sha256=record.photo_sha256,
    )  # fmt: skip
