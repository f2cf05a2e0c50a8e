"""boto3 clients of the emulated AWS, and its side doors."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_rekognition import RekognitionClient
    from mypy_boto3_s3 import S3Client

# One attempt: a test that orders two errors wants to see two.
_CONFIG = Config(retries={"total_max_attempts": 1, "mode": "standard"}, max_pool_connections=32)
_SESSION = boto3.session.Session("test", "test", region_name="eu-west-1")


def rekognition_client(url: str) -> RekognitionClient:
    client: RekognitionClient = any_client("rekognition", url)
    return client


def dynamodb_client(url: str) -> DynamoDBClient:
    client: DynamoDBClient = any_client("dynamodb", url)
    return client


def s3_client(url: str) -> S3Client:
    client: S3Client = any_client("s3", url)
    return client


def any_client(service: str, url: str) -> Any:
    return _SESSION.client(service, endpoint_url=url, config=_CONFIG)


def side_door(url: str, name: str, order: dict[str, Any] | None = None) -> tuple[int, Any]:
    """Status and JSON of POST /_emulator/<name>, or of GET without an order."""
    data = None if order is None else json.dumps(order).encode()
    request = urllib.request.Request(f"{url}/_emulator/{name}", data=data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
