"""Reads a body as one of the schemas."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.api.failures import MalformedBody
from app.api.given_values import shown, value_at
from app.api.map_values import map_values_of, refused_key
from app.errors import InvalidRequest

T = TypeVar("T")

_ENUM: Final = "Invalid enum value"
_UNKNOWN: Final = "Object contains unknown field"
_CLEARER: Final = {
    "matching regex '^[0-9]{1,14}$'": "of 1 to 14 digits, epoch milliseconds",
    "Integer value out of range": "Expected int of at most 64 bits, got a longer one",
    "Number out of range": "Expected float of 64 bits, got a larger one",
    "Object missing required field": "Expected object with the field",
    "`": "",
}
"""Words of msgspec's and ours."""

_BYTE: Final = re.compile(r"\(byte (\d+)\)$")
SOME_KEY: Final = "[...]"
"""What msgspec's path says of a map's key."""

_GZIP: Final = b"\x1f\x8b"
"""What gzip begins with, and JSON cannot."""

_NEAR: Final = 16
"""How many bytes are shown on each side of where JSON breaks off."""


class BodyDecoder(Generic[T]):
    """Decodes and checks JSON in one pass; only a refused body is looked at again, for the value that was given."""

    def __init__(self, schema: Any) -> None:
        """Prepare for one schema.

        Args:
            schema: A `msgspec.Struct` or a type made of them.
        """
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(schema)
        self._choices = _choices_of(schema)
        self._map_values = map_values_of(schema)
        self._members = _members_of(schema)

    def decode(self, body: bytes) -> T:
        """Return the typed content.

        Raises:
            MalformedBody: If it is no JSON in UTF-8, or nested too deeply.
            InvalidRequest: If a field is missing, of the wrong type or out of bounds; the error names its path, what
                was given and what is expected.
        """
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            sentence, _, path = str(error).partition(" - at `$")
            path, given = self._given(path.rstrip("`"), body)
            raise InvalidRequest(self._in_words(sentence, path, given), path=path.removeprefix(".")) from error
        except msgspec.DecodeError as error:
            raise MalformedBody(_malformed(str(error), body)) from error
        except UnicodeDecodeError as error:
            raise MalformedBody(_no_utf8(body)) from error
        except RecursionError as error:
            raise MalformedBody("the body is nested too deeply") from error

    def _given(self, path: str, body: bytes) -> tuple[str, str | None]:
        """Return the path, with the key where it leads into a map, and the value there, if it says anything.

        An array, an object or a value that is not there says no more than msgspec's own words.
        """
        place = path.removesuffix(SOME_KEY)
        try:
            value = value_at(body, place)
        except LookupError:
            return path, None
        if place != path:
            key = refused_key(value, self._map_values.get(place.rpartition(".")[2], Any))
            if key is None:  # written twice in the body, and refused where it does not count
                return path, shown(value)
            path, value = f"{place}[{shown(key)}]", value[key]
        return path, None if isinstance(value, dict | list) else shown(value)

    def _in_words(self, sentence: str, path: str, given: str | None) -> str:
        """Complete msgspec's sentence by what it lacks: the value, and the words that a field takes."""
        if sentence.startswith(_ENUM):
            sentence = "Expected one of: " + ", ".join(self._choices.get(path.rpartition(".")[2], ()))
        if sentence.startswith(_UNKNOWN):
            sentence += ", expected only " + ", ".join(self._members)
        for theirs, ours in _CLEARER.items():
            sentence = sentence.replace(theirs, ours)
        if given is None or sentence.endswith(f", got {given}"):
            return sentence
        return f"{sentence} {given}" if ", got " in sentence else f"{sentence}, got {given}"


def _choices_of(schema: Any) -> dict[str, list[str]]:
    """Return, for each field that takes one of a few words, those words."""
    _, structs = msgspec.json.schema_components((schema,))
    fields = [field for struct in structs.values() for field in struct.get("properties", {}).items()]
    return {name: field["enum"] for name, field in fields if "enum" in field}


def _members_of(schema: Any) -> list[str]:
    """Return the members that objects may have which have no others."""
    _, structs = msgspec.json.schema_components((schema,))
    exact = [struct["properties"] for struct in structs.values() if struct.get("additionalProperties") is False]
    return [name for members in exact for name in members]


def _malformed(reason: str, body: bytes) -> str:
    if not body.strip():
        return "the body is empty, expected JSON"
    if body.startswith(_GZIP):
        return "the body is compressed (gzip), expected JSON as it is"
    if reason == "Input data was truncated":
        return f"the body is no JSON: it ends in the middle, after {len(body)} bytes"
    place = _BYTE.search(reason)
    at = int(place[1]) if place else 0
    near = body[max(0, at - _NEAR) : at + _NEAR].decode("utf-8", "replace")
    return f"the body is no JSON: {reason.removeprefix('JSON is malformed: ')}, near {near!r}"


def _no_utf8(body: bytes) -> str:
    """Name the byte; the place in msgspec's own error counts from the start of some string."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"the body is not UTF-8: byte {error.start} is 0x{body[error.start]:02x}"
    return "the body is not UTF-8"
