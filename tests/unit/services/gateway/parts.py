"""A gateway put together for tests: emulated tables, a recording publisher, clients in memory."""

from pathlib import Path
from typing import Any

from services.gateway.asked import AskedTable
from services.gateway.asking import Asking
from services.gateway.client_store import CurrentClients, FileClients
from services.gateway.clients import Clients, add
from services.gateway.http import Gateway
from shared.addresses import Addresses
from shared.broker import Publisher
from shared.clock import now_utc
from shared.rates import Buckets, Rate
from tests.support.emulated_aws import Emulated

UNHURRIED = Rate(1_000_000, 1_000_000)
URL = "https://hooks.bank.example/facescan"


class Known:
    """Two clients, and their tokens by name."""

    def __init__(self) -> None:
        clients, bank, secret = add(Clients(), "bank", URL)
        clients, shop, _ = add(clients, "shop", None)
        self.tokens = {"bank": bank, "shop": shop}
        self.secret = str(secret)
        self.current = CurrentClients(FileClients(Path("unread")), reread_seconds=60)
        self.current.now = clients


def gateway(emulated: Emulated, publisher: Publisher, known: Known, **rates: Any) -> Gateway:
    asking = Asking(table=AskedTable(emulated.tables), publisher=publisher, clock=now_utc)
    clock = rates.pop("clock", lambda: 0.0)
    return Gateway(
        asking,
        known.current,
        client_rate=Buckets(rates.get("client_rate", UNHURRIED), places=1024, clock=clock),
        address_rate=Buckets(rates.get("address_rate", UNHURRIED), places=1024, clock=clock),
        addresses=Addresses(()),
    )
