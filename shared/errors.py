"""The few errors that cross rooms, each typed by who must act."""


class FacescanError(Exception):
    """Raised when something is wrong that has one line to say so; the base of the errors below."""


class ConfigurationError(FacescanError):
    """Raised when the operator must act: a setting, a port, a missing table or topic."""


class UnavailableError(FacescanError):
    """Raised when a part that everything needs (broker, store) does not answer now: wait and try the same again."""


class RetryLaterError(FacescanError):
    """Raised when this one record cannot be handled now; it waits in a delay topic and comes back."""

    def __init__(self, reason: str, after_seconds: float) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class UnprocessableError(FacescanError):
    """Raised when a record can never be handled and its writer must act; it goes to ``dead.theirs`` with the reason."""
