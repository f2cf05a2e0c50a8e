"""Which generation of the protocol a receiver is spoken to in: the request's own, the receiver's, or the default."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.domain_names import domain_name
from shared.generation import Generation

_EVERYBODY_ELSE: Final = "*"


@dataclass(frozen=True, slots=True)
class Generations:
    """The generations that were configured, by receiver."""

    by_receiver: Mapping[str, Generation] = field(default_factory=dict)
    default: Generation = Generation.NLWEB

    def of(self, receiver: str, asked: Generation | None) -> Generation:
        """Return what to speak to ``receiver``, a lower-case domain name; what was ``asked`` for goes first."""
        return asked or self.by_receiver.get(receiver, self.default)


def parse_generations(text: str) -> Generations:
    """Read ``domain=generation[,…]``, in which the domain ``*`` is everybody else.

    Raises ValueError in one line that names the entry.
    """
    found: dict[str, Generation] = {}
    for entry in text.split(",") if text.strip() else ():
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not equals:
            raise ValueError(f"{entry.strip()[:60]!r} is not of the form domain=generation")
        receiver = name if name == _EVERYBODY_ELSE else domain_name(name)
        if receiver in found:
            raise ValueError(f"{receiver!r} stands twice")
        if value not in {*Generation}:
            raise ValueError(f"{receiver}: {value[:60]!r} is no generation; there are {', '.join(Generation)}")
        found[receiver] = Generation(value)
    default = found.pop(_EVERYBODY_ELSE, Generation.NLWEB)
    return Generations(found, default)
