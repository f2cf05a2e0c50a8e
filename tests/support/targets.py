"""Topics of a test's own as places where the delayer may bring records back to."""

import re


class AnyTopic:
    """Contains every name that Kafka takes for a topic."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and re.fullmatch(rb"[A-Za-z0-9._-]{1,249}", name) is not None
