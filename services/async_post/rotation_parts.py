"""A rotator of the real parts that the settings name, for the service and for `facescan keys`."""

import time
from typing import TYPE_CHECKING

from services.async_post.key_settings import DnsPublisher, KeySettings
from services.async_post.ring_store import RingStore
from shared.errors import ConfigurationError
from shared.stores import Aws

if TYPE_CHECKING:
    from services.async_post.records import RecordWriter
    from services.async_post.rotation import Rotator
    from shared.resolver import ValidatingResolver

# What these import is loaded only where it is used: a service that does not rotate has no need of a DNS library.


def record_writer(aws: Aws, settings: KeySettings) -> "RecordWriter | None":
    """Return who writes our records; None: a person does. Raises ConfigurationError."""
    match settings.key_publisher:
        case DnsPublisher.ROUTE53:
            from services.async_post.route53 import Route53  # noqa: PLC0415 - see above

            return Route53(aws, settings.key_record_ttl_seconds)
        case DnsPublisher.RFC2136:
            from services.async_post.dynamic_update import DynamicUpdate  # noqa: PLC0415 - see above

            secret = settings.rfc2136_key_secret
            return DynamicUpdate(
                settings.rfc2136_server or "",
                settings.rfc2136_key_name or "",
                secret.get_secret_value() if secret else "",
                ttl_seconds=settings.key_record_ttl_seconds,
                timeout_seconds=settings.dns_timeout_seconds,
            )
    return None


def resolver_of(settings: KeySettings) -> "ValidatingResolver":
    """Return the resolver. Raises ConfigurationError when none is named."""
    if settings.dns_resolver is None:
        raise ConfigurationError(
            "FACESCAN_DNS_RESOLVER is not set: name a DNSSEC-validating resolver, for example 127.0.0.1:53"
        )
    return settings.open_resolver(settings.dns_resolver)


def rotator(aws: Aws, settings: KeySettings) -> "Rotator":
    """Return a rotator. Raises ConfigurationError."""
    from services.async_post.rotation import Rotator  # noqa: PLC0415 - see above
    from services.async_post.world import World  # noqa: PLC0415 - see above

    return Rotator(
        domain=settings.domain,
        store=RingStore(aws, settings.signing_secret),
        writer=record_writer(aws, settings),
        world=World(resolver_of(settings)),
        timing=settings.timing,
        algorithm=settings.key_algorithm,
        clock=time.time,
        look_seconds=settings.key_look_seconds,
    )
