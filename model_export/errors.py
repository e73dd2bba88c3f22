"""The deliberate failures of the offline commands; each message is the sentence that the user reads."""

from app.errors import SeqrankError


class CommandError(SeqrankError):
    """A command cannot go on."""


class DataError(CommandError):
    """The input files are not what the format says."""


class ExportError(CommandError):
    """A run cannot become a bundle, or the bundle misses a tolerance."""
