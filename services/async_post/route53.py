"""Our records in Amazon Route 53."""

import asyncio
from typing import Any, Final

from services.async_post.records import RecordTakenError, txt_strings
from shared.errors import ConfigurationError, UnavailableError
from shared.stores import Aws, ServiceError

_IN_SYNC_SECONDS: Final = 180.0
_LOOK_SECONDS: Final = 2.0
# Names are not told apart by these (RFC 4343).
_BUSY: Final = frozenset({"PriorRequestNotComplete", "Throttling", "ThrottlingException"})


class Route53:
    """See RecordWriter. A change is one batch that Route 53 makes whole or not at all."""

    def __init__(self, aws: Aws, ttl_seconds: int) -> None:
        self._aws = aws
        self._ttl_seconds = ttl_seconds

    async def write(self, name: str, text: str, *, instead_of: str | None = None) -> None:
        """See RecordWriter."""
        zone = await self._zone(name)
        there = await self._there(zone, name)
        wanted = {**_set(name, text), "TTL": self._ttl_seconds}
        if there is not None and there["ResourceRecords"] == wanted["ResourceRecords"]:
            return
        changes = [{"Action": "CREATE", "ResourceRecordSet": wanted}]
        if there is not None:
            if instead_of is None or there["ResourceRecords"] != _set(name, instead_of)["ResourceRecords"]:
                raise RecordTakenError(name)
            # Deleting names what is deleted; if it is not that any more, the whole batch is refused.
            changes.insert(0, {"Action": "DELETE", "ResourceRecordSet": there})
        answer = await self._call(
            "ChangeResourceRecordSets",
            "change_resource_record_sets",
            HostedZoneId=zone,
            ChangeBatch={"Changes": changes, "Comment": "facescan key record"},
        )
        await self._until_in_sync(answer["ChangeInfo"]["Id"])

    async def _zone(self, name: str) -> str:
        """Return the id of the public zone that the name belongs to: the one with the longest name."""
        labels = name.split(".")
        for start in range(1, len(labels) - 1):
            zone = ".".join(labels[start:]) + "."
            answer = await self._call("ListHostedZonesByName", "list_hosted_zones_by_name", DNSName=zone, MaxItems="10")
            for found in answer["HostedZones"]:
                if found["Name"] == zone and not found.get("Config", {}).get("PrivateZone"):
                    return str(found["Id"])
        raise ConfigurationError(f"Route 53 has no public zone for {name}")

    async def _there(self, zone: str, name: str) -> dict[str, Any] | None:
        answer = await self._call(
            "ListResourceRecordSets",
            "list_resource_record_sets",
            HostedZoneId=zone,
            StartRecordName=f"{name}.",
            StartRecordType="TXT",
            MaxItems="1",
        )
        for found in answer["ResourceRecordSets"]:
            if found["Name"].lower() == f"{name}." and found["Type"] == "TXT":
                return dict(found)
        return None

    async def _until_in_sync(self, change: str) -> None:
        async with asyncio.timeout(_IN_SYNC_SECONDS):
            while True:
                answer = await self._call("GetChange", "get_change", Id=change)
                if answer["ChangeInfo"]["Status"] == "INSYNC":
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def _call(self, operation: str, method: str, **parameters: Any) -> Any:
        try:
            client = self._aws.client("route53")
            return await self._aws.call(f"route53.{operation}", getattr(client, method), **parameters)
        except ServiceError as error:
            if error.code == "InvalidChangeBatch":
                raise UnavailableError("Route 53: the record was changed by another meanwhile") from None
            if error.code in _BUSY:
                raise UnavailableError(f"route53.{operation}: {error.code}") from None
            raise ConfigurationError(f"Route 53 refuses {operation}: {error.code}") from error


def _set(name: str, text: str) -> dict[str, Any]:
    value = " ".join(f'"{part}"' for part in txt_strings(text))
    return {"Name": f"{name}.", "Type": "TXT", "ResourceRecords": [{"Value": value}]}
