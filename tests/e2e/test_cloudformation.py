"""What the CloudFormation template makes is what the services need, with the rights that they use."""

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint import api as cfnlint
from cfnlint.config import ManualArgs

import deploy
from bench.load import MIXED, Load
from cli.demo_system import with_peers
from cli.peers import Peers
from cli.workbench import Workbench
from deploy.cloudformation import template
from deploy.rights import RIGHTS, actions
from deploy.roles import ROLES
from shared.settings import StoreSettings
from shared.tables import EVIDENCE_PREFIX, TABLES, create_tables
from tests.e2e.conftest import VERIFICATION_SECONDS, Running
from tests.support.emulated_aws import EmulatedAws
from tests.unit.emulators.processes import running as process

TEMPLATE = Path(deploy.__file__).parent / "aws/facescan.yaml"
# IAM's word for an action that has another name than the call (Service Authorization Reference).
IAM_NAMES = {
    "dynamodb:TransactWriteItems": {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    "s3:HeadObject": {"s3:GetObject"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
    "s3:DeleteObjects": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
}


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    """An emulated AWS on which the template alone has been applied."""
    with process("emulators.aws", "--port", "0") as (_, address):
        client = boto3.Session("test", "test", region_name="eu-west-1").client(
            "cloudformation", endpoint_url=f"http://{address}"
        )
        client.create_stack(
            StackName="facescan", TemplateBody=TEMPLATE.read_text(), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        (stack,) = client.describe_stacks(StackName="facescan")["Stacks"]
        assert stack["StackStatus"] == "CREATE_COMPLETE", stack
        _what_moto_leaves_out(f"http://{address}")
        yield f"http://{address}"


def _what_moto_leaves_out(url: str) -> None:
    """Do what moto's CloudFormation passes over, with the template's own words: versions, lifecycle, times to live.

    It takes the key's policy as an object and then expects text.
    """
    settings = StoreSettings()
    resources = template()["Resources"]
    aws = EmulatedAws(settings, url)
    bucket = resources["Pictures"]["Properties"]
    versioning = bucket["VersioningConfiguration"]
    aws.client("s3").put_bucket_versioning(Bucket=settings.bucket, VersioningConfiguration=versioning)
    rules = [
        {"ID": rule["Id"], "Status": rule["Status"], "Filter": {"Prefix": rule["Prefix"]}}
        | {"Expiration": {"Days": rule["ExpirationInDays"]}}
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "Prefix" in rule
    ]
    aws.client("s3").put_bucket_lifecycle_configuration(Bucket=settings.bucket, LifecycleConfiguration={"Rules": rules})
    for resource in resources.values():
        expires = resource.get("Properties", {}).get("TimeToLiveSpecification")
        if expires is not None:
            table = resource["Properties"]["TableName"]["Fn::Sub"].replace("${TablePrefix}", settings.table_prefix)
            aws.client("dynamodb").update_time_to_live(TableName=table, TimeToLiveSpecification=expires)
    policy = resources["PersonKey"]["Properties"]["KeyPolicy"]
    policy["Statement"][0]["Principal"] = {"AWS": "arn:aws:iam::123456789012:root"}
    kms = aws.client("kms")
    (key,) = [one["TargetKeyId"] for one in kms.list_aliases()["Aliases"] if one["AliasName"] == settings.kms_key]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))


def test_cfn_lint_has_nothing_to_say() -> None:
    assert cfnlint.lint_by_config(ManualArgs(templates=[str(TEMPLATE)], regions=["eu-west-1"])) == []


def test_the_tables_are_those_that_the_command_makes(aws_url: str) -> None:
    made = EmulatedAws(StoreSettings(table_prefix="made-", bucket="made-pictures"), aws_url)
    create_tables(made, StoreSettings(table_prefix="made-", bucket="made-pictures"))
    dynamodb = made.client("dynamodb")

    def shape(prefix: str, name: str) -> dict[str, Any]:
        table = dynamodb.describe_table(TableName=prefix + name)["Table"]
        indexes = [
            (index["IndexName"], index["KeySchema"], index["Projection"]["ProjectionType"])
            for index in table.get("GlobalSecondaryIndexes", [])
        ]
        expires = dynamodb.describe_time_to_live(TableName=prefix + name)["TimeToLiveDescription"]
        attributes = sorted(table["AttributeDefinitions"], key=lambda one: one["AttributeName"])
        return {"keys": table["KeySchema"], "attributes": attributes, "indexes": indexes, "expires": expires}

    for spec in TABLES:
        assert shape("facescan-", spec.name) == shape("made-", spec.name)


def test_the_bucket_is_versioned_and_forgets_evidence(aws_url: str) -> None:
    settings = StoreSettings()
    s3 = EmulatedAws(settings, aws_url).client("s3")
    assert s3.get_bucket_versioning(Bucket=settings.bucket)["Status"] == "Enabled"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=settings.bucket)["Rules"]
    assert any(rule.get("Prefix", rule.get("Filter", {}).get("Prefix")) == EVIDENCE_PREFIX for rule in rules)


def test_the_loop_runs_on_it_and_no_role_does_what_it_has_no_right_to(aws_url: str, tmp_path: Path) -> None:
    """Whole verifications; each service's calls, as its metrics name them, are among its roles' rights."""
    with ExitStack() as parts:
        settings = {"FACESCAN_VERIFICATION_SECONDS": str(VERIFICATION_SECONDS)}
        bench = parts.enter_context(Workbench(tmp_path, aws=aws_url, settings=settings))
        system = Running(bench, with_peers(bench.system, StoreSettings(), parts))

        async def work(load: Load, _peers: Peers) -> None:
            await load.enrol(MIXED)
            verified = await load.run(3, 3, MIXED)
            assert [one.results for one in verified] == [[one.role.expected] for one in verified]

        system.drive(work)
        for service, ops in bench.system.ops.items():
            called = _calls(ops)
            allowed = frozenset().union(*(actions(role.name) for role in ROLES if role.service == service))
            for call in called:
                assert IAM_NAMES.get(call, {call}) <= allowed, (service, call)
        assert _calls(bench.system.ops["verdict"])


def _calls(ops: str) -> set[str]:
    with urllib.request.urlopen(f"{ops}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {name.replace(".", ":") for name in re.findall(r'facescan_store_seconds_count\{operation="([^"]+)"\}', text)}


@pytest.mark.parametrize("role", sorted(RIGHTS))
def test_no_role_may_do_everything_or_at_everything(role: str) -> None:
    for statement in RIGHTS[role]:
        assert not [action for action in statement["Action"] if "*" in action]
        if "*" in statement["Resource"]:
            assert all(action.startswith("rekognition:") for action in statement["Action"])


def test_every_table_that_a_role_needs_at_its_start_is_in_its_rights() -> None:
    for role in ROLES:
        named = str(RIGHTS[role.name])
        for table in role.build().needed_tables:
            assert re.search(rf"TablePrefix\}}{table}'", named), (role.name, table)


def test_nobody_may_change_or_remove_a_line_of_the_audit_trail() -> None:
    for statements in RIGHTS.values():
        for statement in statements:
            if "table/${TablePrefix}audit'" in str(statement["Resource"]):
                assert not {"dynamodb:UpdateItem", "dynamodb:DeleteItem"} & set(statement["Action"])
