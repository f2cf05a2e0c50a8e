"""The DynamoDB tables, the S3 bucket and the KMS key, declared as data, and their creation in one shot."""

from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from shared.settings import StoreSettings
from shared.stores import Aws


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its key attributes (partition, then sort), and the attribute by which items expire, if any.

    ``by_person``: its items name whom they are about in the attribute ``person``, and are found by it through an index.
    What is about a person and is in no such table, and in none whose partition key is ``person``, is not found by an
    erasure.
    """

    name: str
    partition_key: str
    sort_key: str | None = None
    sort_type: str = "S"
    expires_by: str | None = None
    by_person: bool = False

    @property
    def personal(self) -> bool:
        """Whether an erasure finds a person's items in it."""
        return self.by_person or self.partition_key == PERSON

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of its key attributes."""
        return (self.partition_key,) if self.sort_key is None else (self.partition_key, self.sort_key)


PERSON: Final = "person"
PERSON_INDEX: Final = "by-person"


CLAIMS: Final = TableSpec("claims", "message", expires_by="expires_at")
REGISTERED_KEYS: Final = TableSpec("registered-keys", "owner")
LOCATORS: Final = TableSpec("locators", "locator", by_person=True)
# Which locator a token of an issuer has: a hash of both leads to it.
ISSUED: Final = TableSpec("issued-locators", "issue", expires_by="expires_at", by_person=True)
PERSONS: Final = TableSpec("persons", "person")
# Never backed up: a copy of a wrapped key would open what an erasure has closed (docs/privacy.md).
PERSON_KEYS: Final = TableSpec("person-keys", "person")
# Passport number, national id and the like, each sealed: what a person's photo is tagged with at enrolment.
CODES: Final = TableSpec("codes", "person", sort_key="tag")
# One-time passwords' secrets and hashes of answers, each sealed.
FACTORS: Final = TableSpec("factors", "person", sort_key="factor")
VERIFICATIONS: Final = TableSpec("verifications", "verification_id", expires_by="forget_at", by_person=True)
ATTEMPTS: Final = TableSpec("attempts", "verification_id", sort_key="attempt", sort_type="N", expires_by="forget_at")
VERDICTS: Final = TableSpec("verdicts", "provider_session_id", expires_by="forget_at")
# How a person's last checks ended, and where: personal data.
HISTORY: Final = TableSpec("history", "person", expires_by="forget_at")
# One item for each provider: when the next session may be created there.
TURNS: Final = TableSpec("turns", "line")
# Failed checks by whom they are counted for, under keyed hashes.
FAILURES: Final = TableSpec("failures", "whom", expires_by="forget_at")
DEAD_LETTERS: Final = TableSpec("dead-letters", "place", expires_by="forget_at")
# Lines in chains, which nobody may change or remove; and which entries they have, so that a repeat adds no line.
AUDIT: Final = TableSpec("audit", "chain", sort_key="sequence", sort_type="N")
AUDIT_ENTRIES: Final = TableSpec("audit-entries", "entry", expires_by="forget_at")
LEASES: Final = TableSpec("leases", "lease")
# Which client of the gateway asked for which verification: of the person there is nothing.
ASKED: Final = TableSpec("asked-over-http", "verification_id", expires_by="forget_at")

TABLES: Final = (
    DEAD_LETTERS,
    CLAIMS,
    REGISTERED_KEYS,
    LOCATORS,
    ISSUED,
    PERSONS,
    PERSON_KEYS,
    CODES,
    FACTORS,
    AUDIT,
    AUDIT_ENTRIES,
    LEASES,
    VERIFICATIONS,
    ATTEMPTS,
    FAILURES,
    VERDICTS,
    HISTORY,
    TURNS,
    ASKED,
)

# Evidence is deleted by the verdict itself as soon as it has decided; the bucket's rule catches what a crash left.
EVIDENCE_PREFIX: Final = "evidence/"
EVIDENCE_DAYS: Final = 1
PERSONS_PREFIX: Final = "persons/"


def create_tables(aws: Aws, settings: StoreSettings) -> list[str]:
    """Create the tables, the bucket and the KMS key that are missing and return their names.

    Blocking; raises botocore's errors.
    """
    dynamodb = aws.client("dynamodb")
    made = []
    for spec in TABLES:
        name = settings.table_prefix + spec.name
        if _create_table(dynamodb, spec, name):
            made.append(name)
    if _create_bucket(aws.client("s3"), settings.bucket):
        made.append(settings.bucket)
    if _create_key(aws.client("kms"), settings.kms_key):
        made.append(settings.kms_key)
    return made


def _create_key(kms: Any, name: str) -> bool:
    """Make a key and give it this alias, if there is none; a key named by its id or ARN is the operator's to make."""
    if not name.startswith("alias/"):
        return False
    try:
        kms.describe_key(KeyId=name)
    except kms.exceptions.NotFoundException:
        key = kms.create_key(Description="facescan: wraps the data keys of persons")["KeyMetadata"]["KeyId"]
        kms.enable_key_rotation(KeyId=key)
        kms.create_alias(AliasName=name, TargetKeyId=key)
        return True
    return False


def _create_table(dynamodb: Any, spec: TableSpec, name: str) -> bool:
    keys = [(spec.partition_key, "HASH", "S")]
    if spec.sort_key is not None:
        keys.append((spec.sort_key, "RANGE", spec.sort_type))
    attributes = [{"AttributeName": key, "AttributeType": sort} for key, _, sort in keys]
    indexed: dict[str, Any] = {}
    if spec.by_person:
        attributes.append({"AttributeName": PERSON, "AttributeType": "S"})
        indexed["GlobalSecondaryIndexes"] = [_PERSON_INDEX]
    try:
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind, _ in keys],
            AttributeDefinitions=attributes,
            BillingMode="PAY_PER_REQUEST",
            **indexed,
        )
    except dynamodb.exceptions.ResourceInUseException:
        return spec.by_person and _add_person_index(dynamodb, name, attributes)
    dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    if spec.expires_by is not None:
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": spec.expires_by}
        )
    return True


_PERSON_INDEX: Final = {
    "IndexName": PERSON_INDEX,
    "KeySchema": [{"AttributeName": PERSON, "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "KEYS_ONLY"},
}


def _add_person_index(dynamodb: Any, name: str, attributes: list[dict[str, str]]) -> bool:
    """Give a table of an earlier version its index; DynamoDB fills it in the background."""
    table = dynamodb.describe_table(TableName=name)["Table"]
    if any(index["IndexName"] == PERSON_INDEX for index in table.get("GlobalSecondaryIndexes", [])):
        return False
    dynamodb.update_table(
        TableName=name, AttributeDefinitions=attributes, GlobalSecondaryIndexUpdates=[{"Create": _PERSON_INDEX}]
    )
    return True


def _create_bucket(s3: Any, bucket: str) -> bool:
    region = s3.meta.region_name
    # us-east-1 must not be named as a location (S3 API reference, CreateBucket).
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **location)
        created = True
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
        created = False
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "evidence",
                    "Status": "Enabled",
                    "Filter": {"Prefix": EVIDENCE_PREFIX},
                    "Expiration": {"Days": EVIDENCE_DAYS},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": EVIDENCE_DAYS},
                }
            ]
        },
    )
    return created
