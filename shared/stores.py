"""DynamoDB, S3 and the other AWS services through boto3, called from threads so that the event loop never waits.

A call ends in a value, in ConditionFailedError (a conditional write that found another state), or in UnavailableError:
the store, or what the operator must create in it, is not there now. Nothing else leaves this file.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from shared import metrics
from shared.errors import ConfigurationError, FacescanError, UnavailableError
from shared.settings import StoreSettings
from shared.telemetry import SpanKind, span

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Value = str | int | bool
Item = Mapping[str, Value]

_MISSING_CODES: Final = {"ResourceNotFoundException", "NoSuchBucket"}
_UNAVAILABLE_CODES: Final = {
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "ThrottlingException",
    "Throttling",
    "TransactionConflictException",
    "TransactionInProgressException",
}
_SERVER_ERROR: Final = 500
# Values of an expression.
_NOW: Final = ":now"
_NEXT: Final = ":next"
_STEP: Final = ":step"


class ConditionFailedError(FacescanError):
    """Raised when a conditional write found another state.

    ``reasons`` has a code per item of a transaction; ``found`` is the item that an update found, where the store tells.
    """

    def __init__(self, reasons: Sequence[str] = (), found: "Item | None" = None) -> None:
        super().__init__("the condition of a write did not hold")
        self.reasons = reasons
        self.found = found


class ServiceError(FacescanError):
    """Raised when AWS refuses a call for what was asked; ``code`` is AWS's own word."""

    def __init__(self, operation: str, code: str) -> None:
        super().__init__(f"{operation}: {code}")
        self.operation = operation
        self.code = code


class Aws:
    """Clients of AWS and the threads that call them."""

    def __init__(self, settings: StoreSettings) -> None:
        self._threads = ThreadPoolExecutor(settings.store_threads, thread_name_prefix="aws")
        self._config = Config(
            connect_timeout=2,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=settings.store_threads,
            tcp_keepalive=True,
            # The calls are built by this package alone; boto3's own check costs a third of a call's CPU.
            parameter_validation=False,
            # Found anew for each call otherwise; neither is of use to anybody here.
            account_id_endpoint_mode="disabled",
            user_agent="facescan",
        )
        # One session for all clients: each would load its own copy of the endpoints' data (6 MB).
        self._session: boto3.session.Session | None = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """Return the boto3 client of ``service``, made once. Raises ConfigurationError when no region is set."""
        with self._lock:
            if service not in self._clients:
                # boto3 itself reads AWS_DEFAULT_REGION alone; containers and the other SDKs have AWS_REGION.
                self._session = self._session or boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
                try:
                    self._clients[service] = self._session.client(service, config=self._config)
                except NoRegionError as error:
                    raise ConfigurationError("AWS_REGION is not set") from error
            return self._clients[service]

    def presigner(self) -> Any:
        """Return a client of S3 whose presigned addresses bind headers too (Signature Version 4), made once."""
        with self._lock:
            if "presigner" not in self._clients:
                self._session = self._session or boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
                config = self._config.merge(Config(signature_version="s3v4"))
                self._clients["presigner"] = self._session.client("s3", config=config)
            return self._clients["presigner"]

    def warm(self, *services: str) -> None:
        """Make clients before the first call needs them. Blocking; raises ConfigurationError."""
        for service in services:
            self.client(service)

    async def call(self, operation: str, call: Callable[..., Any], **parameters: Any) -> Any:
        """Run one boto3 call in a thread. Raises as this module says, and ServiceError for AWS's other refusals."""
        started = time.perf_counter()
        try:
            with span(operation, kind=SpanKind.CLIENT):
                return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, **parameters))
        except ClientError as error:
            raise _translated(operation, error) from error
        except NoCredentialsError as error:
            raise UnavailableError("no AWS credentials: set AWS_ACCESS_KEY_ID or a role") from error
        except BotoCoreError as error:
            raise UnavailableError(f"{operation}: {type(error).__name__}") from error
        finally:
            _seconds_of(operation).observe(time.perf_counter() - started)

    def let_go(self) -> None:
        """Drop the clients and what they have loaded (8 MB), for a service that calls AWS once in a long while."""
        with self._lock:
            self._clients.clear()
            self._session = None
        gc.collect()  # they refer to each other; what comes next is to find their memory free

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@cache
def _seconds_of(operation: str) -> Any:
    """The histogram of one operation, found once: to look it up costs more than to count."""
    return metrics.STORE_SECONDS.labels(operation)


def _translated(operation: str, error: ClientError) -> FacescanError:
    response: Any = error.response
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return ConditionFailedError(found=from_attributes(response["Item"]) if response.get("Item") else None)
    if code == "TransactionCanceledException":
        reasons = [reason.get("Code", "None") for reason in response.get("CancellationReasons", [])]
        if "ConditionalCheckFailed" in reasons:
            return ConditionFailedError(reasons)
        return UnavailableError(f"{operation}: transaction cancelled: {', '.join(sorted(set(reasons)))}")
    if code in _MISSING_CODES:
        return UnavailableError(f"{operation}: a table or bucket is missing; make it with: facescan tables create")
    if code in _UNAVAILABLE_CODES or response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_ERROR:
        return UnavailableError(f"{operation}: {code}")
    return ServiceError(operation, code)


@dataclass(frozen=True, slots=True)
class Put:
    """Write a whole item; with ``unless_exists`` only when no item has its key yet."""

    table: str
    item: Item
    unless_exists: str | None = None
    # Alternatively: write when there is none, or when it holds exactly this value ("the claim's offset is mine").
    or_same: str | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Set attributes of an item, when each attribute named in ``when`` has one of the values."""

    table: str
    key: Item
    values: Item
    when: Mapping[str, Sequence[Value]]


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on an item that a transaction does not change: a number is absent, or not above ``most``."""

    table: str
    key: Item
    attribute: str
    most: int


def read_object(s3: Any, **place: str) -> bytes:
    """Return the whole body of an S3 object. Blocking, for ``Aws.call``: the body comes after the answer's head."""
    with s3.get_object(**place)["Body"] as body:
        content: bytes = body.read()
    return content


class Tables:
    """Reads and conditional writes of items whose values are strings, whole numbers and booleans."""

    def __init__(self, aws: Aws, settings: StoreSettings) -> None:
        self._aws = aws
        self._prefix = settings.table_prefix

    @property
    def _client(self) -> "DynamoDBClient":
        client: DynamoDBClient = self._aws.client("dynamodb")
        return client

    async def get(self, table: str, key: Item) -> dict[str, Value] | None:
        """Return the item under ``key`` as it is now (consistent read), or None."""
        answer = await self._aws.call(
            "dynamodb.GetItem",
            self._client.get_item,
            TableName=self._prefix + table,
            Key=to_attributes(key),
            ConsistentRead=True,
        )
        return from_attributes(answer["Item"]) if "Item" in answer else None

    async def get_both(self, first: tuple[str, Item], second: tuple[str, Item]) -> list[dict[str, Value] | None]:
        """Return two items of different tables, each (table, key), as they are now, in one call."""
        keys = {self._prefix + table: to_attributes(key) for table, key in (first, second)}
        answer = await self._aws.call(
            "dynamodb.BatchGetItem",
            self._client.batch_get_item,
            RequestItems={name: {"Keys": [key], "ConsistentRead": True} for name, key in keys.items()},
        )
        if answer.get("UnprocessedKeys"):
            raise UnavailableError("dynamodb.BatchGetItem: throttled")
        found = [answer["Responses"].get(name, []) for name in keys]
        return [from_attributes(items[0]) if items else None for items in found]

    async def put(self, put: Put) -> None:
        """Write one item. Raises ConditionFailedError."""
        await self._aws.call("dynamodb.PutItem", self._client.put_item, **self._put(put))

    async def update(self, update: Update) -> dict[str, Value]:
        """Change one item and return all of it. Raises ConditionFailedError, also when there is no such item."""
        answer = await self._aws.call(
            "dynamodb.UpdateItem",
            self._client.update_item,
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            **self._update(update),
        )
        return from_attributes(answer["Attributes"])

    async def advance(self, table: str, key: Item, attribute: str, now: int, step: int) -> int:
        """Advance a moment by ``step``, from itself or from ``now``, whichever is later; return what it began from.

        Many callers get moments one ``step`` apart, in any order (the generic cell rate algorithm, ITU-T I.371).
        One call where the moment has passed, two where it is still to come.
        """
        past, ahead = f"attribute_not_exists(#a) OR #a <= {_NOW}", f"#a > {_NOW}"
        while True:
            for change, condition in ((f"SET #a = {_NEXT}", past), (f"SET #a = #a + {_STEP}", ahead)):
                values = {_NOW: now, _NEXT: now + step, _STEP: step}
                try:
                    answer = await self._aws.call(
                        "dynamodb.UpdateItem",
                        self._client.update_item,
                        TableName=self._prefix + table,
                        Key=to_attributes(key),
                        UpdateExpression=change,
                        ConditionExpression=condition,
                        ExpressionAttributeNames={"#a": attribute},
                        ExpressionAttributeValues={
                            name: _to_attribute(value)
                            for name, value in values.items()
                            if name in change or name in condition
                        },
                        ReturnValues="UPDATED_NEW",
                    )
                except ConditionFailedError:
                    continue
                return int(answer["Attributes"][attribute]["N"]) - step

    async def delete(self, table: str, key: Item) -> None:
        """Remove an item, if there is one."""
        await self._aws.call(
            "dynamodb.DeleteItem", self._client.delete_item, TableName=self._prefix + table, Key=to_attributes(key)
        )

    async def transact(self, writes: Sequence[Put | Update | Check]) -> None:
        """Do all writes or none (at most 100). Raises ConditionFailedError with a reason code per write."""
        items = [self._in_transaction(write) for write in writes]
        await self._aws.call("dynamodb.TransactWriteItems", self._client.transact_write_items, TransactItems=items)

    async def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of the tables that are not there or not ready, by their whole names."""
        lost = []
        for name in names:
            try:
                answer = await self._aws.call(
                    "dynamodb.DescribeTable", self._client.describe_table, TableName=self._prefix + name
                )
            except UnavailableError as error:
                if "missing" not in str(error):
                    raise
                lost.append(self._prefix + name)
            else:
                if answer["Table"]["TableStatus"] not in ("ACTIVE", "UPDATING"):
                    lost.append(self._prefix + name)
        return lost

    def _in_transaction(self, write: Put | Update | Check) -> Any:
        match write:
            case Put():
                return {"Put": self._put(write)}
            case Update():
                return {"Update": self._update(write)}
            case Check():
                return {
                    "ConditionCheck": {
                        "TableName": self._prefix + write.table,
                        "Key": to_attributes(write.key),
                        "ConditionExpression": "attribute_not_exists(#a) OR #a <= :m",
                        "ExpressionAttributeNames": {"#a": write.attribute},
                        "ExpressionAttributeValues": {":m": _to_attribute(write.most)},
                    }
                }

    def _put(self, put: Put) -> dict[str, Any]:
        call: dict[str, Any] = {"TableName": self._prefix + put.table, "Item": to_attributes(put.item)}
        if put.unless_exists is not None:
            call["ConditionExpression"] = "attribute_not_exists(#k)"
            call["ExpressionAttributeNames"] = {"#k": put.unless_exists}
            if put.or_same is not None:
                call["ConditionExpression"] += " OR #s = :s"
                call["ExpressionAttributeNames"]["#s"] = put.or_same
                call["ExpressionAttributeValues"] = {":s": _to_attribute(put.item[put.or_same])}
        return call

    def _update(self, update: Update) -> dict[str, Any]:
        names: dict[str, str] = {}
        values: dict[str, AttributeValueTypeDef] = {}
        settings, conditions = [], []
        for index, (name, value) in enumerate(update.values.items()):
            names[f"#v{index}"], values[f":v{index}"] = name, _to_attribute(value)
            settings.append(f"#v{index} = :v{index}")
        for index, (name, allowed) in enumerate(update.when.items()):
            names[f"#w{index}"] = name
            places = []
            for number, value in enumerate(allowed):
                values[f":w{index}_{number}"] = _to_attribute(value)
                places.append(f":w{index}_{number}")
            conditions.append(f"#w{index} IN ({', '.join(places)})")
        return {
            "TableName": self._prefix + update.table,
            "Key": to_attributes(update.key),
            "UpdateExpression": "SET " + ", ".join(settings),
            "ConditionExpression": " AND ".join(conditions),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }


def _to_attribute(value: Value) -> "AttributeValueTypeDef":
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"S": value}


def to_attributes(item: Item) -> "dict[str, AttributeValueTypeDef]":
    """Return an item in DynamoDB's typed form."""
    return {name: _to_attribute(value) for name, value in item.items()}


def from_attributes(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Value]:
    """Return an item from DynamoDB's typed form."""
    item: dict[str, Value] = {}
    for name, typed in attributes.items():
        (kind, value), *_ = typed.items()
        item[name] = int(value) if kind == "N" else value
    return item
