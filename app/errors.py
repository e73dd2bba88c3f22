"""The deliberate failures of Seqrank; none of them knows of HTTP.

Every message is a sentence that names the thing, the value and what was expected. `app/api/error_responses.py` is the
one place that turns a class into a status code.
"""

from typing import Final

UNUSABLE: Final = 2
"""Exit code of a process that could not serve."""

MOST_SHOWN: Final = 80
"""Characters of somebody else's value in a sentence; the rest is cut off."""


class SeqrankError(Exception):
    """The root of every deliberate failure."""


class InvalidSetting(SeqrankError):
    """A setting is unknown or out of bounds; the process must not start."""


class DataFolderInUse(InvalidSetting):
    """The embedded store's folder belongs to another process at the moment."""


class BundleError(SeqrankError):
    """A bundle is missing, incomplete, altered, from a newer format, or does not match its certificate."""


class ProviderUnavailable(SeqrankError):
    """The execution provider that was asked for cannot be had on this machine."""


class InvalidRequest(SeqrankError):
    """Valid JSON whose content breaks a rule.

    Attributes:
        path: Where in the request, in the form ``items[3].id``.
    """

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class EmptyCandidates(SeqrankError):
    """The request names an empty list of candidates."""


class UnknownModel(SeqrankError):
    """No model of this name is loaded."""


class UnknownItem(SeqrankError):
    """No item of this id is in the catalogue."""


class Overloaded(SeqrankError):
    """The line is full or a rate limit is passed; nothing was started.

    Attributes:
        retry_after_s: An honest estimate of when there is room again, in seconds.
    """

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BudgetExceeded(SeqrankError):
    """The request's time is up before its scores are there."""


class ScoringFailed(SeqrankError):
    """The model raised, or answered with another number of rows than it was given."""


class ShuttingDown(SeqrankError):
    """The service is draining and takes no new work."""


class NotReady(SeqrankError):
    """The service is still starting or its certificate failed."""


class StorageUnavailable(SeqrankError):
    """Redis did not answer in time, refused, or its circuit is open."""
