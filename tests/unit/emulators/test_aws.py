from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.emulators.clients import any_client, dynamodb_client, s3_client
from tests.unit.emulators.processes import running

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NEW = "attribute_not_exists(k)"


@pytest.fixture(scope="module")
def table(aws_url: str) -> DynamoDBClient:
    client = dynamodb_client(aws_url)
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return client


def put(key: str, **more: Any) -> Any:
    return {"Put": {"TableName": "t", "Item": {"k": {"S": key}}, "ConditionExpression": NEW, **more}}


def value(table: DynamoDBClient, key: str) -> Any:
    return table.get_item(TableName="t", Key={"k": {"S": key}}).get("Item")


def test_of_racing_conditional_writes_one_wins(table: DynamoDBClient) -> None:
    def write(number: int) -> bool:
        try:
            table.put_item(TableName="t", Item={"k": {"S": f"race{number % 20}"}}, ConditionExpression=NEW)
        except table.exceptions.ConditionalCheckFailedException:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(write, range(200))) == 20


def test_a_transaction_names_the_copies_and_writes_nothing(table: DynamoDBClient) -> None:
    table.transact_write_items(TransactItems=[put("old")])
    with pytest.raises(table.exceptions.TransactionCanceledException) as error:
        table.transact_write_items(
            TransactItems=[put("new"), put("old", ReturnValuesOnConditionCheckFailure="ALL_OLD"), put("newer")]
        )
    reasons = error.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed", "None"]
    assert reasons[1]["Item"] == {"k": {"S": "old"}}
    assert value(table, "new") is None


def test_a_transaction_updates_deletes_and_checks(table: DynamoDBClient) -> None:
    table.transact_write_items(TransactItems=[put("a"), put("b"), put("c")])
    table.transact_write_items(
        TransactItems=[
            {
                "Update": {
                    "TableName": "t",
                    "Key": {"k": {"S": "a"}},
                    "UpdateExpression": "SET #n = :n",
                    "ConditionExpression": "attribute_not_exists(#n)",
                    "ExpressionAttributeNames": {"#n": "n"},
                    "ExpressionAttributeValues": {":n": {"N": "1"}},
                }
            },
            {"Delete": {"TableName": "t", "Key": {"k": {"S": "b"}}}},
            {
                "ConditionCheck": {
                    "TableName": "t",
                    "Key": {"k": {"S": "c"}},
                    "ConditionExpression": "attribute_exists(k)",
                }
            },
        ]
    )
    assert value(table, "a")["n"] == {"N": "1"}
    assert value(table, "b") is None


def test_a_transaction_that_fails_while_writing_is_undone(table: DynamoDBClient) -> None:
    table.put_item(TableName="t", Item={"k": {"S": "text"}, "v": {"S": "word"}})
    update: Any = {
        "Update": {
            "TableName": "t",
            "Key": {"k": {"S": "text"}},
            "UpdateExpression": "ADD v :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
    with pytest.raises(table.exceptions.ClientError):
        table.transact_write_items(TransactItems=[put("before"), update])
    assert value(table, "before") is None
    assert value(table, "text") == {"k": {"S": "text"}, "v": {"S": "word"}}


def test_a_transaction_touches_no_item_twice_and_not_more_than_a_hundred(table: DynamoDBClient) -> None:
    with pytest.raises(table.exceptions.ClientError):
        table.transact_write_items(TransactItems=[put("same"), put("same")])
    with pytest.raises(table.exceptions.ClientError):
        table.transact_write_items(TransactItems=[put(f"many{number}") for number in range(101)])
    assert value(table, "same") is None


def test_the_cost_of_a_transaction_does_not_grow_with_the_table(table: DynamoDBClient) -> None:
    def write(batch: int) -> float:
        began = time.perf_counter()
        table.transact_write_items(TransactItems=[put(f"bulk{batch}-{number}") for number in range(100)])
        return time.perf_counter() - began

    seconds = [write(batch) for batch in range(10)]
    assert min(seconds[5:]) < 0.5


def test_a_binary_value_comes_back_as_it_was(table: DynamoDBClient) -> None:
    """Items without one take a shorter way through the stand-in."""
    table.put_item(TableName="t", Item={"k": {"S": "binary"}, "bytes": {"B": b"\x00\xff"}})
    assert value(table, "binary")["bytes"] == {"B": b"\x00\xff"}


def test_a_call_on_items_that_nobody_signed_is_answered_too(aws_url: str, table: DynamoDBClient) -> None:
    body = b'{"TableName": "t", "Key": {"k": {"S": "nobody"}}}'
    headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}
    request = urllib.request.Request(aws_url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    assert 200 <= status < 500


def test_objects_have_versions_and_conditional_writes(aws_url: str) -> None:
    client = s3_client(aws_url)
    client.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket="kept", Key="k", Body=b"one")["VersionId"]
    client.put_object(Bucket="kept", Key="k", Body=b"two")
    assert client.get_object(Bucket="kept", Key="k", VersionId=first)["Body"].read() == b"one"
    with pytest.raises(client.exceptions.ClientError):
        client.put_object(Bucket="kept", Key="k", Body=b"three", IfNoneMatch="*")


def test_secrets_roles_and_dns_zones_answer_on_the_same_endpoint(aws_url: str) -> None:
    secrets = any_client("secretsmanager", aws_url)
    secrets.create_secret(Name="key", SecretString="secret")
    assert secrets.get_secret_value(SecretId="key")["SecretString"] == "secret"
    role = any_client("sts", aws_url).assume_role(
        RoleArn="arn:aws:iam::123456789012:role/browser", RoleSessionName="one", DurationSeconds=900
    )
    assert role["Credentials"]["SessionToken"]
    assert any_client("route53", aws_url).list_hosted_zones()["HostedZones"] == []


def test_a_busy_port_is_explained_in_one_line(aws_url: str) -> None:
    command = [sys.executable, "-m", "emulators.aws", "--port", aws_url.rpartition(":")[2]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: cannot listen on 127.0.0.1:")
    assert ended.stderr.count("\n") == 1


def test_it_ends_at_once_when_told() -> None:
    with running("emulators.aws") as (process, _):
        began = time.perf_counter()
        process.terminate()
        assert process.wait(5) == 0
        assert time.perf_counter() - began < 1
