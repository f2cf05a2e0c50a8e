"""The settings of all services, read from their models."""

import importlib
from collections.abc import Iterator
from functools import cache

from cli.run import ALL
from shared.settings import PREFIX, Settings


def settings_models() -> Iterator[tuple[str, type[Settings]]]:
    """Give each service's name and its settings model."""
    for service in ALL:
        module = importlib.import_module(f"services.{service}.settings")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Settings) and value.__module__ == module.__name__:
                yield service, value


@cache
def known_variables() -> frozenset[str]:
    """Return the names of all variables that a service reads."""
    return frozenset(PREFIX + name.upper() for _, model in settings_models() for name in model.model_fields)
