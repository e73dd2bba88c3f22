"""Which key may do what."""

from __future__ import annotations

import hmac
from enum import Enum
from typing import TYPE_CHECKING

from app.api.failures import BadKey, KeyOutOfScope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.api.key_file import KeyFile


class Access(Enum):
    """What a request needs; more access includes less."""

    OPEN = 0
    """Probes, metrics and documentation."""

    RANK = 1
    """Ranking, feedback, reading."""

    ADMIN = 2
    """Deleting users; adding, changing and deleting items."""


class KeyRing:
    """Checks keys in constant time.

    Without any key at all everything is open. With rank keys only, they may do everything; with admin keys too, `ADMIN`
    needs one of those. With admin keys only, ranking is open.
    """

    def __init__(
        self,
        *,
        rank_keys: Iterable[str] = (),
        admin_keys: Iterable[str] = (),
        rank_file: KeyFile | None = None,
        admin_file: KeyFile | None = None,
    ) -> None:
        """Take the keys; those in files are added to the given ones."""
        self._rank_keys = tuple(key.encode() for key in rank_keys)
        self._admin_keys = tuple(key.encode() for key in admin_keys)
        self._rank_file = rank_file
        self._admin_file = admin_file
        self._rank_guarded = bool(self._rank_keys) or rank_file is not None
        self._admin_guarded = bool(self._admin_keys) or admin_file is not None

    def guards(self, access: Access) -> bool:
        """Return whether ``access`` needs a key."""
        if access is Access.ADMIN:
            return self._rank_guarded or self._admin_guarded
        return access is Access.RANK and self._rank_guarded

    def degraded(self) -> list[str]:
        """Return ``["keys"]`` while a key file is unreadable or without a key, else nothing; the log says which."""
        # all of them are asked: a file that is asked looks, and logs what it finds
        troubles = [file.trouble() for file in (self._rank_file, self._admin_file) if file is not None]
        return ["keys"] if any(troubles) else []

    def check(self, key: bytes | None, access: Access) -> None:
        """Let a request with this key pass.

        Raises:
            BadKey: If a key is needed, and it is missing or unknown.
            KeyOutOfScope: If the key is good for less than that.
        """
        if not self.guards(access):
            return
        if key is None:
            raise BadKey("no key was given, expected one as Authorization: Bearer KEY or X-API-Key: KEY")
        is_rank = _is_one_of(key, self._rank_keys, self._rank_file)
        is_admin = _is_one_of(key, self._admin_keys, self._admin_file)
        if not is_rank and not is_admin:
            raise BadKey("the key is not known here")
        if access is Access.ADMIN and self._admin_guarded and not is_admin:
            raise KeyOutOfScope("the key may rank and send feedback, but this needs an admin key")


def key_in(authorization: bytes | None, api_key: bytes | None) -> bytes | None:
    """Return the key that the two headers carry; ``X-API-Key`` counts where there is no bearer."""
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        return authorization[7:].strip()
    return api_key


def _is_one_of(key: bytes, known: tuple[bytes, ...], file: KeyFile | None) -> bool:
    found = False
    for candidate in known if file is None else known + file.keys():
        found |= hmac.compare_digest(candidate, key)
    return found
