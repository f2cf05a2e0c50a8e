"""The services' own AWS clients, tables and bucket on the emulated AWS, and the side doors of its Rekognition."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from emulators.pictures import make_picture
from shared.audit import AuditTrail
from shared.legal_photos import LegalPhotos
from shared.people import People, Person
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, Tables
from shared.tables import EVIDENCE_PREFIX, create_tables
from shared.verification import LegalPhoto
from tests.unit.emulators.clients import side_door

# One attempt: a test that orders one error wants to see one.
_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=8)


class EmulatedAws(Aws):
    """Like Aws, at one endpoint and without retries."""

    def __init__(self, settings: StoreSettings, url: str) -> None:
        super().__init__(settings)
        self.url = url
        self._own = boto3.Session("test", "test", region_name="eu-west-1")
        self._made: dict[str, Any] = {}
        self._making = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the boto3 client of ``service``, made once."""
        with self._making:
            if service not in self._made:
                make: Any = self._own.client
                self._made[service] = make(service, endpoint_url=self.url, config=_CONFIG)
            return self._made[service]

    def presigner(self) -> Any:
        """See Aws."""
        with self._making:
            if "presigner" not in self._made:
                config = _CONFIG.merge(Config(signature_version="s3v4"))
                self._made["presigner"] = self._own.client("s3", endpoint_url=self.url, config=config)
            return self._made["presigner"]


class Emulated:
    """Tables and a bucket of the product's, and what a test does to them from outside."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = StoreSettings(table_prefix="unit-", bucket="unit-pictures")
        self.aws = EmulatedAws(self.settings, url)
        self.tables = Tables(self.aws, self.settings)
        self.people = People(self.tables)
        self.keys = PersonKeys(self.aws, self.tables, self.settings)
        self.photos = LegalPhotos(self.aws, self.keys, self.settings)
        self.queries = Queries(self.aws, self.settings)
        create_tables(self.aws, self.settings)

    @property
    def trail(self) -> AuditTrail:
        """The audit trail, as a process that has just started has it."""
        return AuditTrail(self.tables, self.queries)

    def door(self, name: str, order: dict[str, Any] | None = None) -> Any:
        """Use a side door of the emulator."""
        status, answer = side_door(self.url, name, order)
        assert status == 200, answer
        return answer

    def film(self, session_id: str, person: str, **more: Any) -> None:
        """Let a person stand before the camera of a session."""
        self.door("camera", {"session_id": session_id, "person": person, **more})

    def fail(self, operation: str, count: int, error: str = "ThrottlingException") -> None:
        """Let the next ``count`` calls fail."""
        self.door("errors", {"operation": operation, "error": error, "count": count})

    def advance(self, seconds: float) -> None:
        """Let time pass at the provider."""
        self.door("clock", {"advance_seconds": seconds})

    def sessions(self) -> int:
        """Return how many liveness sessions the provider has."""
        return len(self.door("sessions"))

    async def put_photo(self, person: str, faces: int = 1, *, shows: str | None = None) -> LegalPhoto:
        """Store a legal photo of a person, on which somebody else may be, and return where it is."""
        return await self.photos.save(person, make_picture(shows or person, faces, variant=1))

    async def enrol(self, person: str, locator: str, *, wallet: str = "wallet.example", days: int = 1) -> Person:
        """Register a person and a locator; negative days make it an expired one."""
        registered = Person(person, wallet, f"w-{person}", await self.put_photo(person))
        await self.people.save(registered)
        await self.people.issue(locator, person, datetime.now(UTC) + timedelta(days=days))
        return registered

    def evidence(self, verification_id: str) -> list[str]:
        """Return every version of every picture that is kept of a verification."""
        answer = self.aws.client("s3").list_object_versions(
            Bucket=self.settings.bucket, Prefix=f"{EVIDENCE_PREFIX}{verification_id}/"
        )
        return [entry["VersionId"] for kind in ("Versions", "DeleteMarkers") for entry in answer.get(kind, [])]

    def versions(self, prefix: str, bucket: str | None = None) -> int:
        """Return how many versions lie below a prefix, delete markers included."""
        answer = self.aws.client("s3").list_object_versions(Bucket=bucket or self.settings.bucket, Prefix=prefix)
        return len(answer.get("Versions", [])) + len(answer.get("DeleteMarkers", []))
