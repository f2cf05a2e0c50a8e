"""Every version is found and removed, page after page."""

import asyncio
import uuid

from shared.object_versions import ObjectVersion, ObjectVersions
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, Put, Tables
from shared.tables import CODES


async def test_versions_come_by_key_the_newest_first_over_pages_and_are_all_removed(
    aws: Aws, tables: Tables, prefix: str
) -> None:
    """Markers of removed objects are versions too."""
    bucket, folder, s3 = f"{prefix}bucket", f"{uuid.uuid4().hex}/", aws.client("s3")
    for key in ("a", "b", "c"):
        for body in (b"1", b"2", b"3"):
            s3.put_object(Bucket=bucket, Key=folder + key, Body=body)
    s3.delete_object(Bucket=bucket, Key=f"{folder}b")
    s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"1")
    versions = ObjectVersions(aws, page=4)

    async def found() -> list[ObjectVersion]:
        return [one async for one in versions.find(bucket, folder)]

    before = await found()
    assert [one.key[-1] for one in before] == list("aaabbbbccc")
    assert [one.newest for one in before] == [True, False, False, True, False, False, False, True, False, False]
    assert [one.marker for one in before] == [index == 3 for index in range(10)]
    assert len({(one.key, one.version) for one in before}) == 10
    assert await versions.remove(before) == 10
    assert await found() == []
    assert [one async for one in versions.find(bucket, "elsewhere")]


async def test_a_person_s_items_are_found_over_pages_of_a_megabyte(aws: Aws, tables: Tables, prefix: str) -> None:
    queries, person = Queries(aws, StoreSettings(table_prefix=prefix)), uuid.uuid4().hex
    await asyncio.gather(
        *(
            tables.put(Put(CODES.name, {"person": person, "tag": f"{number:02d}", "sealed": "x" * 200_000}))
            for number in range(12)
        )
    )
    keys = await queries.keys_of_person(CODES, person)
    assert sorted(str(key["tag"]) for key in keys) == [f"{number:02d}" for number in range(12)]
    newest = await queries.newest(CODES, person)
    assert newest is not None
    assert newest["tag"] == "11"
    assert len([item async for item in queries.of_partition(CODES, person)]) == 12
