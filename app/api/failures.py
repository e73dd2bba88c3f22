"""Failures that only a client of the HTTP interface can cause; beside those of `app.errors`."""

from app.errors import Overloaded, SeqrankError


class MalformedBody(SeqrankError):
    """The body is no JSON, or nested too deeply to be read."""


class BodyTooLarge(SeqrankError):
    """The body is longer than the service takes."""


class BadKey(SeqrankError):
    """No key was given, or an unknown one."""


class KeyOutOfScope(SeqrankError):
    """The key is good, but not for this."""


class RateLimited(Overloaded):
    """The key's or client's rate limit is passed."""
