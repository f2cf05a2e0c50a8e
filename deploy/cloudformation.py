"""What facescan needs at AWS as one CloudFormation template: tables, bucket, key, and a role for each Deployment."""

from typing import Any, Final

from deploy.rights import RIGHTS
from shared.settings import StoreSettings
from shared.tables import EVIDENCE_DAYS, EVIDENCE_PREFIX, PERSON, PERSON_INDEX, PERSON_KEYS, TABLES, TableSpec

_DEFAULTS: Final = StoreSettings()
_KEEP: Final = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
_PODS: Final = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}


def _sub(text: str) -> dict[str, str]:
    return {"Fn::Sub": text}


def template() -> dict[str, Any]:
    """Return the template."""
    resources: dict[str, Any] = {}
    for table in TABLES:
        resources[_camel(table.name) + "Table"] = _table(table)
    resources |= {
        "Pictures": _bucket(),
        "BucketPolicy": _bucket_policy(),
        "PersonKey": _key(),
        "PersonKeyAlias": _alias(),
    }
    resources["StreamingRole"] = _streaming_role()
    for role, statements in RIGHTS.items():
        resources |= _role(role, list(statements))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "facescan: tables, bucket, key, and a role of the least rights for each Deployment of the chart",
        "Parameters": _parameters(),
        "Conditions": {"OnEks": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Cluster"}, ""]}]}},
        "Resources": resources,
        "Outputs": {
            "StreamingRoleArn": {
                "Description": "scan.streamingRole",
                "Value": {"Fn::GetAtt": ["StreamingRole", "Arn"]},
            },
            "PersonKeyArn": {"Description": "FACESCAN_KMS_KEY", "Value": {"Fn::GetAtt": ["PersonKey", "Arn"]}},
        },
    }


def _parameters() -> dict[str, Any]:
    def text(default: str, description: str) -> dict[str, str]:
        return {"Type": "String", "Default": default, "Description": description}

    return {
        "TablePrefix": text(_DEFAULTS.table_prefix, "FACESCAN_TABLE_PREFIX"),
        "Bucket": text(_DEFAULTS.bucket, "FACESCAN_BUCKET: unique in all of AWS"),
        "KeyAlias": text(_DEFAULTS.kms_key, "FACESCAN_KMS_KEY"),
        "SigningSecret": text("facescan/signing-key", "FACESCAN_SIGNING_SECRET; facescan keys rotate makes it"),
        "ClientsSecret": text("facescan/clients", "FACESCAN_CLIENTS_SECRET; facescan clients add makes it"),
        "Cluster": text("", "The EKS cluster whose pods get the roles (Pod Identity); none: attach them yourself"),
        "Namespace": text("facescan", "The chart's namespace there"),
        "Release": text("facescan", "The chart's release: service accounts are called <release>-<role>"),
    }


def _table(table: TableSpec) -> dict[str, Any]:
    keys = [(table.partition_key, "HASH", "S")]
    if table.sort_key is not None:
        keys.append((table.sort_key, "RANGE", table.sort_type))
    attributes = {key: kind for key, _, kind in keys} | ({PERSON: "S"} if table.by_person else {})
    properties: dict[str, Any] = {
        "TableName": _sub("${TablePrefix}" + table.name),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, kind, _ in keys],
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in attributes.items()],
        "DeletionProtectionEnabled": True,
        # A backup of wrapped keys would open what an erasure has closed.
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": table is not PERSON_KEYS},
        "SSESpecification": {"SSEEnabled": True},
    }
    if table.by_person:
        properties["GlobalSecondaryIndexes"] = [
            {
                "IndexName": PERSON_INDEX,
                "KeySchema": [{"AttributeName": PERSON, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ]
    if table.expires_by is not None:
        properties["TimeToLiveSpecification"] = {"AttributeName": table.expires_by, "Enabled": True}
    return {"Type": "AWS::DynamoDB::Table", **_KEEP, "Properties": properties}


def _bucket() -> dict[str, Any]:
    evidence = {
        "Id": "evidence",
        "Status": "Enabled",
        "Prefix": EVIDENCE_PREFIX,
        "ExpirationInDays": EVIDENCE_DAYS,
        "NoncurrentVersionExpiration": {"NoncurrentDays": EVIDENCE_DAYS},
    }
    return {
        "Type": "AWS::S3::Bucket",
        **_KEEP,
        "Properties": {
            "BucketName": {"Ref": "Bucket"},
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {
                "Rules": [
                    evidence,
                    {
                        "Id": "unfinished",
                        "Status": "Enabled",
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                    },
                ]
            },
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
        },
    }


def _bucket_policy() -> dict[str, Any]:
    arn = "arn:${AWS::Partition}:s3:::${Bucket}"
    return {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": {"Ref": "Pictures"},
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "OnlyOverTls",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [_sub(arn), _sub(f"{arn}/*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        },
    }


def _key() -> dict[str, Any]:
    return {
        "Type": "AWS::KMS::Key",
        **_KEEP,
        "Properties": {
            "Description": "facescan: wraps the data keys of persons",
            "EnableKeyRotation": True,
            "PendingWindowInDays": 30,
            "KeyPolicy": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "RightsByIam",
                        "Effect": "Allow",
                        "Principal": {"AWS": _sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
                        "Action": "kms:*",
                        "Resource": "*",
                    }
                ],
            },
        },
    }


def _alias() -> dict[str, Any]:
    return {
        "Type": "AWS::KMS::Alias",
        "Properties": {"AliasName": {"Ref": "KeyAlias"}, "TargetKeyId": {"Ref": "PersonKey"}},
    }


def _streaming_role() -> dict[str, Any]:
    """The role whose credentials a browser gets: one action, taken up by the session service alone."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": _sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")},
                        "Action": "sts:AssumeRole",
                        "Condition": {
                            "ArnEquals": {
                                "aws:PrincipalArn": _sub(
                                    "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${AWS::StackName}-session"
                                )
                            }
                        },
                    }
                ],
            },
            "Policies": [
                {
                    "PolicyName": "stream",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Action": ["rekognition:StartFaceLivenessSession"],
                                "Resource": ["*"],
                            }
                        ],
                    },
                }
            ],
        },
    }


def _role(name: str, statements: list[Any]) -> dict[str, Any]:
    if not statements:
        return {}
    title = _camel(name)
    return {
        f"{title}Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": _sub(f"${{AWS::StackName}}-{name}"),
                "AssumeRolePolicyDocument": _PODS,
                "Policies": [
                    {
                        "PolicyName": name,
                        "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
                    }
                ],
            },
        },
        f"{title}Pods": {
            "Type": "AWS::EKS::PodIdentityAssociation",
            "Condition": "OnEks",
            "Properties": {
                "ClusterName": {"Ref": "Cluster"},
                "Namespace": {"Ref": "Namespace"},
                "ServiceAccount": _sub(f"${{Release}}-{name}"),
                "RoleArn": {"Fn::GetAtt": [f"{title}Role", "Arn"]},
            },
        },
    }


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("-"))
