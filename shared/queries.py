"""Reads of many items: a person's, a chain's, the expired ones; page after page, never all at once."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from shared.settings import StoreSettings
from shared.stores import Aws, Item, from_attributes, to_attributes
from shared.tables import PERSON, PERSON_INDEX, TableSpec

if TYPE_CHECKING:
    from shared.stores import Value


class Queries:
    """Queries and scans of the tables. Every method raises UnavailableError."""

    def __init__(self, aws: Aws, settings: StoreSettings) -> None:
        self._aws = aws
        self._prefix = settings.table_prefix

    async def keys_of_person(self, spec: TableSpec, person: str) -> list[Item]:
        """Return the keys of a person's items in a personal table; an index may be a second behind."""
        index = {"IndexName": PERSON_INDEX} if spec.by_person else {"ConsistentRead": True}
        return [
            {name: item[name] for name in spec.keys}
            async for item in self._pages("query", spec, **index, **_equals(PERSON, person))
        ]

    async def of_partition(self, spec: TableSpec, value: str, since: int | None = None) -> AsyncIterator[Item]:
        """Give the items of one partition in the order of their sort key, from ``since`` on."""
        condition = _equals(spec.partition_key, value)
        if since is not None:
            condition["KeyConditionExpression"] += " AND #s >= :s"
            condition["ExpressionAttributeNames"]["#s"] = spec.sort_key
            condition["ExpressionAttributeValues"][":s"] = {"N": str(since)}
        async for item in self._pages("query", spec, ConsistentRead=True, **condition):
            yield item

    async def newest(self, spec: TableSpec, value: str) -> Item | None:
        """Return the item of a partition whose sort key is the greatest, as it is now."""
        answer = await self._aws.call(
            "dynamodb.Query",
            self._aws.client("dynamodb").query,
            TableName=self._prefix + spec.name,
            ConsistentRead=True,
            ScanIndexForward=False,
            Limit=1,
            **_equals(spec.partition_key, value),
        )
        return from_attributes(answer["Items"][0]) if answer["Items"] else None

    async def below(self, spec: TableSpec, attribute: str, limit: int) -> AsyncIterator[Item]:
        """Give the items whose number ``attribute`` is below ``limit``. Reads the whole table."""
        async for item in self._pages(
            "scan",
            spec,
            FilterExpression="#a < :limit",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":limit": {"N": str(limit)}},
        ):
            yield item

    async def delete_below(self, spec: TableSpec, key: Item, attribute: str, limit: int) -> None:
        """Remove an item unless its number ``attribute`` has grown meanwhile. Raises ConditionFailedError then."""
        await self._aws.call(
            "dynamodb.DeleteItem",
            self._aws.client("dynamodb").delete_item,
            TableName=self._prefix + spec.name,
            Key=to_attributes(key),
            ConditionExpression="attribute_not_exists(#a) OR #a < :limit",
            ExpressionAttributeNames={"#a": attribute},
            ExpressionAttributeValues={":limit": {"N": str(limit)}},
        )

    async def _pages(self, operation: str, spec: TableSpec, **parameters: Any) -> "AsyncIterator[dict[str, Value]]":
        client = self._aws.client("dynamodb")
        name, call = ("dynamodb.Query", client.query) if operation == "query" else ("dynamodb.Scan", client.scan)
        start: dict[str, Any] = {}
        while True:
            answer = await self._aws.call(name, call, TableName=self._prefix + spec.name, **parameters, **start)
            for item in answer["Items"]:
                yield from_attributes(item)
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _equals(attribute: str, value: str) -> dict[str, Any]:
    return {
        "KeyConditionExpression": "#p = :p",
        "ExpressionAttributeNames": {"#p": attribute},
        "ExpressionAttributeValues": {":p": {"S": value}},
    }
