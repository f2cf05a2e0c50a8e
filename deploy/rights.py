"""What each role may do at AWS: the least, as IAM statements.

Resources are named by the template's parameters. A test compares the actions with those that running services call.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from deploy.roles import ROLES
from shared.answer_box import CONTEXT
from shared.tables import (
    ASKED,
    ATTEMPTS,
    AUDIT,
    AUDIT_ENTRIES,
    CLAIMS,
    EVIDENCE_PREFIX,
    FACTORS,
    FAILURES,
    HISTORY,
    ISSUED,
    LEASES,
    LOCATORS,
    PERSON_INDEX,
    PERSON_KEYS,
    PERSONS,
    PERSONS_PREFIX,
    REGISTERED_KEYS,
    TABLES,
    TURNS,
    VERDICTS,
    VERIFICATIONS,
    TableSpec,
)

Statement = Mapping[str, Any]

_READ: Final = ("BatchGetItem", "DescribeTable", "GetItem")
_WRITE: Final = (*_READ, "ConditionCheckItem", "PutItem", "UpdateItem")
# A line of the trail is added and never changed: no UpdateItem, no DeleteItem, for nobody.
_APPEND: Final = (*_READ, "PutItem", "Query")

_BUCKET: Final = "arn:${AWS::Partition}:s3:::${Bucket}"
_TABLE: Final = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${TablePrefix}"
_SECRET: Final = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SigningSecret}-*"  # noqa: S105 - its name
_CLIENTS: Final = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${ClientsSecret}-*"


def _sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def _allow(service: str, actions: Sequence[str], resources: Sequence[Any]) -> Statement:
    return {
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in sorted(set(actions))],
        "Resource": list(resources),
    }


def _on(actions: Sequence[str], *tables: TableSpec) -> Statement:
    return _allow("dynamodb", actions, [_sub(_TABLE + table.name) for table in tables])


def _objects(actions: Sequence[str], *prefixes: str) -> Statement:
    return _allow("s3", actions, [_sub(f"{_BUCKET}/{prefix}*") for prefix in prefixes])


# An erasure finds what is a person's and removes it, the key of the wallet too; the deleter removes what has had its
# time, marks of claims and of the trail's entries too. The lines of the trail alone are nobody's to remove.
_ERASED: Final = tuple(table for table in TABLES if table not in (AUDIT, LEASES, TURNS))
_ERASURE: Final = (
    _on(("DeleteItem", "GetItem", "Query", "Scan", "DescribeTable"), *_ERASED),
    _allow(
        "dynamodb",
        ("Query",),
        [_sub(f"{_TABLE}{table.name}/index/{PERSON_INDEX}") for table in TABLES if table.by_person],
    ),
    _allow("s3", ("ListBucket", "ListBucketVersions"), [_sub(_BUCKET)]),
    _objects(("DeleteObject", "DeleteObjectVersion"), EVIDENCE_PREFIX, PERSONS_PREFIX),
)
_ANY: Final = ("*",)  # these actions know no resources of ours (Service Authorization Reference)

RIGHTS: Final[Mapping[str, Sequence[Statement]]] = {
    "door": (_on(_WRITE, CLAIMS), _on(_READ, REGISTERED_KEYS)),
    # DescribeTable on the second: the service looks for all its tables at the start.
    "router": (_on(_WRITE, CLAIMS), _on(("DescribeTable",), REGISTERED_KEYS)),
    "session": (
        _on(_READ, LOCATORS, PERSONS),
        _on(_WRITE, VERIFICATIONS, ATTEMPTS, TURNS),
        _on(("ConditionCheckItem", "DescribeTable", "GetItem"), FAILURES),
        # Answers go in and do not come out again; no data key can be made with this (ADR 25).
        {
            **_allow("kms", ("Encrypt",), [{"Fn::GetAtt": ["PersonKey", "Arn"]}]),
            "Condition": {
                "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": [CONTEXT]},
                "Null": {"kms:EncryptionContextKeys": "false"},
            },
        },
        _allow("rekognition", ("CreateFaceLivenessSession",), _ANY),
        _allow("sts", ("AssumeRole",), [{"Fn::GetAtt": ["StreamingRole", "Arn"]}]),
    ),
    "verdict": (
        _on(_WRITE, VERIFICATIONS, ATTEMPTS, FAILURES, VERDICTS, HISTORY, LEASES, LOCATORS, ISSUED),
        _on(("PutItem",), PERSON_KEYS),  # one for what is kept of nobody's checks (ADR 19)
        _on(_READ, PERSON_KEYS, PERSONS),
        _on((*_READ, "Query", "UpdateItem"), FACTORS),
        _on(_APPEND, AUDIT, AUDIT_ENTRIES),
        _objects(("GetObject", "GetObjectVersion", "PutObject"), EVIDENCE_PREFIX),
        _objects(("GetObject", "GetObjectVersion"), PERSONS_PREFIX),
        _allow("kms", ("Decrypt", "GenerateDataKey"), [{"Fn::GetAtt": ["PersonKey", "Arn"]}]),
        _allow("rekognition", ("CompareFaces", "DetectFaces", "GetFaceLivenessSessionResults"), _ANY),
        *_ERASURE,
    ),
    "signer": (
        _allow(
            "secretsmanager",
            ("CreateSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"),
            [_sub(_SECRET)],
        ),
    ),
    "sender": (),
    "gateway": (_on(_WRITE, ASKED), _allow("secretsmanager", ("GetSecretValue",), [_sub(_CLIENTS)])),
}
assert set(RIGHTS) == {role.name for role in ROLES}  # noqa: S101 - a role without a line here is a mistake


def actions(role: str) -> frozenset[str]:
    """Return all actions of a role."""
    return frozenset(action for statement in RIGHTS[role] for action in statement["Action"])
