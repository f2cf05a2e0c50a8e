"""The generations of the protocol; apart from the envelope, so that whoever only names one loads no cryptography."""

from enum import StrEnum


class Generation(StrEnum):
    """Which generation of the protocol a message speaks."""

    NLWEB = "nlweb"
    POLLYWEB = "pollyweb"
