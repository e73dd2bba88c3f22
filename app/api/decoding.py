"""Reads a body as one of the schemas."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from app.api.failures import MalformedBody
from app.errors import InvalidRequest

T = TypeVar("T")


class BodyDecoder(Generic[T]):
    """Decodes and checks JSON in one pass."""

    def __init__(self, schema: Any) -> None:
        """Prepare for one schema.

        Args:
            schema: A `msgspec.Struct` or a type made of them.
        """
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(schema)

    def decode(self, body: bytes) -> T:
        """Return the typed content.

        Raises:
            MalformedBody: If it is no JSON in UTF-8, or nested too deeply.
            InvalidRequest: If a field is missing, of the wrong type or out of bounds; the error names its path.
        """
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            sentence, _, path = str(error).partition(" - at `$")
            raise InvalidRequest(sentence.replace("`", ""), path=path.rstrip("`").removeprefix(".")) from error
        except msgspec.DecodeError as error:
            raise MalformedBody(f"the body is no JSON: {error}") from error
        except UnicodeDecodeError as error:
            raise MalformedBody(f"the body is not UTF-8 at byte {error.start}") from error
        except RecursionError as error:
            raise MalformedBody("the body is nested too deeply") from error
