"""Legal photos in S3, sealed with the person's data key; pinned by the object's version and the photo's hash."""

import hashlib
from functools import partial

from shared.errors import ConfigurationError, UnavailableError
from shared.person_keys import PersonKeys
from shared.sealing import Kind, SealBrokenError
from shared.settings import StoreSettings
from shared.stores import Aws, ServiceError, read_object
from shared.tables import PERSONS_PREFIX
from shared.verification import LegalPhoto


class LegalPhotos:
    """Writes and reads legal photos."""

    def __init__(self, aws: Aws, keys: PersonKeys, settings: StoreSettings) -> None:
        self._aws = aws
        self._keys = keys
        self._bucket = settings.bucket

    async def save(self, person: str, photo: bytes) -> LegalPhoto:
        """Keep a photo as the person's newest version. Raises UnavailableError, ConfigurationError."""
        sha256 = hashlib.sha256(photo).hexdigest()
        key = await self._keys.create(person)
        place = f"{PERSONS_PREFIX}{person}/legal-photo"
        stored = await self._aws.call(
            "s3.PutObject",
            self._aws.client("s3").put_object,
            Bucket=self._bucket,
            Key=place,
            Body=key.seal(Kind.LEGAL_PHOTO, sha256, photo),
        )
        version = stored.get("VersionId")
        if not version:
            raise ConfigurationError(f"bucket {self._bucket} is not versioned; make it with: facescan tables create")
        return LegalPhoto(place, version, sha256)

    async def read(self, person: str, photo: LegalPhoto) -> bytes:
        """Return the pinned photo (PNG or JPEG). Raises UnavailableError: one that cannot be read is never a "no".

        It opens only for this person and this hash: an object that was exchanged since does not.
        """
        key = await self._keys.get(person)
        try:
            answer = await self._aws.call(
                "s3.GetObject",
                partial(read_object, self._aws.client("s3")),
                Bucket=self._bucket,
                Key=photo.key,
                VersionId=photo.version,
            )
        except ServiceError as error:
            raise UnavailableError(str(error)) from error
        try:
            return key.open(Kind.LEGAL_PHOTO, photo.sha256, answer)
        except SealBrokenError as error:
            raise UnavailableError(str(error)) from error
