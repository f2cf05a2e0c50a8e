"""The DynamoDB tables, the S3 bucket and the KMS key, declared as data, and their creation in one shot."""

from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from shared.settings import StoreSettings
from shared.stores import Aws


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its key attributes (partition, then sort), and the attribute by which items expire, if any."""

    name: str
    partition_key: str
    sort_key: str | None = None
    sort_type: str = "S"
    expires_by: str | None = None


CLAIMS: Final = TableSpec("claims", "message", expires_by="expires_at")
REGISTERED_KEYS: Final = TableSpec("registered-keys", "owner")
LOCATORS: Final = TableSpec("locators", "locator")
PERSONS: Final = TableSpec("persons", "person")
# Never backed up: a copy of a wrapped key would open what an erasure has closed (docs/privacy.md).
PERSON_KEYS: Final = TableSpec("person-keys", "person")
VERIFICATIONS: Final = TableSpec("verifications", "verification_id", expires_by="forget_at")
ATTEMPTS: Final = TableSpec("attempts", "verification_id", sort_key="attempt", sort_type="N", expires_by="forget_at")
VERDICTS: Final = TableSpec("verdicts", "provider_session_id", expires_by="forget_at")
# How a person's last checks ended, and where: personal data.
HISTORY: Final = TableSpec("history", "person", expires_by="forget_at")
DEAD_LETTERS: Final = TableSpec("dead-letters", "place", expires_by="forget_at")

TABLES: Final = (
    DEAD_LETTERS,
    CLAIMS,
    REGISTERED_KEYS,
    LOCATORS,
    PERSONS,
    PERSON_KEYS,
    VERIFICATIONS,
    ATTEMPTS,
    VERDICTS,
    HISTORY,
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
        keys = [(spec.partition_key, "HASH", "S")]
        if spec.sort_key is not None:
            keys.append((spec.sort_key, "RANGE", spec.sort_type))
        try:
            dynamodb.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind, _ in keys],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": sort} for key, _, sort in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        except dynamodb.exceptions.ResourceInUseException:
            continue
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        if spec.expires_by is not None:
            dynamodb.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": spec.expires_by}
            )
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
