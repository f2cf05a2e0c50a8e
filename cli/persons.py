"""What commands about one person share: the id, and the parts that find and remove."""

from dataclasses import dataclass
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from shared.audit import AuditTrail
from shared.erasure import Erasure
from shared.events import PersonId
from shared.holdings import Holdings
from shared.person_export import PersonExport
from shared.person_keys import PersonKeys
from shared.queries import Queries
from shared.settings import StoreSettings
from shared.stores import Aws, Tables

_ID: Any = TypeAdapter(PersonId)


def person_id(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Check an id of a person, for click."""
    try:
        return str(_ID.validate_python(value))
    except ValidationError:
        raise click.BadParameter("1 to 200 of the characters A-Z a-z 0-9 . _ ~ - are expected") from None


@dataclass(frozen=True, slots=True)
class Persons:
    """The stores, as far as they are about persons."""

    holdings: Holdings
    erasure: Erasure
    export: PersonExport
    trail: AuditTrail


def persons(aws: Aws, settings: StoreSettings) -> Persons:
    """Return the parts that work on these stores."""
    tables = Tables(aws, settings)
    keys = PersonKeys(aws, tables, settings)
    return Persons(
        Holdings(aws, tables, settings),
        Erasure(aws, tables, keys, settings),
        PersonExport(aws, tables, keys, settings),
        AuditTrail(tables, Queries(aws, settings)),
    )
