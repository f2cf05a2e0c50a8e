"""Which liveness provider: by requester for a new session, by its record for one that there is.

An adapter is imported when it is first asked for: a service's idle memory has no room for what it does not use.
"""

from collections.abc import Callable, Mapping

from shared.errors import UnavailableError
from shared.liveness import LivenessProvider
from shared.liveness_settings import AZURE, REKOGNITION, LivenessSettings
from shared.stores import Aws, Tables

Make = Callable[[], LivenessProvider]


class Providers:
    """Providers by name, each made once, and the choice between them."""

    def __init__(self, makers: Mapping[str, Make], default: str, by_requester: Mapping[str, str] | None = None) -> None:
        self._makers = makers
        self._default = default
        self._by_requester = by_requester or {}
        self._made: dict[str, LivenessProvider] = {}

    def named(self, name: str) -> LivenessProvider:
        """Return the provider of that name. Raises UnavailableError where it is not configured."""
        if name not in self._made:
            make = self._makers.get(name)
            if make is None:
                raise UnavailableError(f"the liveness provider {name[:40]!r} is not configured here")
            self._made[name] = make()
        return self._made[name]

    def of_requester(self, requester: str) -> LivenessProvider:
        """Return the provider for a new session that a domain asks for; empty: a system of ours does."""
        return self.named(self._by_requester.get(requester.lower(), self._default))


def only(provider: LivenessProvider) -> Providers:
    """Return the choice of one."""
    return Providers({provider.name: lambda: provider}, provider.name)


def providers_from(
    settings: LivenessSettings, aws: Aws, tables: Tables, *, streaming_role: str | None = None, streaming_url: str = ""
) -> Providers:
    """Return the providers that are configured; ``streaming_role`` and ``streaming_url`` are for who serves a page."""

    def rekognition() -> LivenessProvider:
        from shared.liveness_rekognition import RekognitionProvider  # noqa: PLC0415 - see the module

        return RekognitionProvider(
            aws,
            role=streaming_role,
            endpoint=streaming_url,
            sessions_per_second=settings.rekognition_sessions_per_second,
        )

    def azure() -> LivenessProvider:
        from shared.legal_photos import LegalPhotos  # noqa: PLC0415 - see the module
        from shared.liveness_azure import AzureProvider  # noqa: PLC0415
        from shared.person_keys import PersonKeys  # noqa: PLC0415

        photos = LegalPhotos(aws, PersonKeys(aws, tables, settings), settings)
        return AzureProvider(settings, aws, photos)

    makers: dict[str, Make] = {REKOGNITION: rekognition}
    if settings.azure_endpoint is not None:
        makers[AZURE] = azure
    return Providers(makers, settings.liveness_provider, settings.provider_of_requester)
