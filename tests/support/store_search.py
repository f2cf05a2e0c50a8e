"""A search of everything that the stores of a system hold, by its bytes: tables, objects, their names and metadata."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import orjson

from shared.settings import StoreSettings


class Stores(Protocol):
    """A system's clients and what its stores are called."""

    aws: Any
    settings: StoreSettings


def found_in_stores(stores: Stores, marks: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Return for each mark the stores that hold its bytes, plainly or in base64 or hex; empty: none does."""
    found: dict[str, set[str]] = {mark: set() for mark in marks}
    for place, content in contents(stores):
        for mark in held(content, marks):
            found[mark].add(place)
    return found


def held(content: bytes, marks: Mapping[str, bytes]) -> set[str]:
    """Return the marks whose bytes stand in ``content``."""
    return {mark for mark, word in marks.items() if any(form in content for form in forms(word))}


def forms(word: bytes) -> Iterator[bytes]:
    """Give the ways in which some bytes may be written down; base64 has three, by where it begins."""
    yield word
    yield word.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + word)
        # The first and last characters mix with what stands beside the word.
        yield encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]


def contents(stores: Stores) -> Iterator[tuple[str, bytes]]:
    """Give (store, contents) of every item of every table and every version of every object."""
    dynamodb = stores.aws.client("dynamodb")
    for name in dynamodb.list_tables()["TableNames"]:
        if not name.startswith(stores.settings.table_prefix):
            continue
        store = f"dynamodb {name.removeprefix(stores.settings.table_prefix)}"
        for page in dynamodb.get_paginator("scan").paginate(TableName=name):
            yield from ((store, orjson.dumps(item, default=repr)) for item in page["Items"])
    s3, bucket = stores.aws.client("s3"), stores.settings.bucket
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for one in page.get("DeleteMarkers", []):
            yield "s3", one["Key"].encode()
        for one in page.get("Versions", []):
            yield "s3", one["Key"].encode()
            answer = s3.get_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
            yield "s3", answer["Body"].read()
            yield "s3", repr(answer["Metadata"]).encode()
