"""Finds the key of a map whose value is refused: msgspec's path says ``max_per[...]`` and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_origin

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def map_values_of(schema: Any) -> dict[str, Any]:
    """Return, for each field of the schema that is a map, the type of its values.

    >>> class Caps(msgspec.Struct):
    ...     max_per: dict[str, int] | None = None
    >>> map_values_of(Caps | list[Caps])
    {'max_per': <class 'int'>}
    """
    return {
        field.name: get_args(part)[1]
        for struct in _parts_of(schema)
        if isinstance(struct, type) and issubclass(struct, msgspec.Struct)
        for field in msgspec.structs.fields(struct)
        for part in _parts_of(field.type)
        if get_origin(part) is dict
    }


def refused_key(given: Mapping[str, Any], value_type: Any) -> str | None:
    """Return the first key whose value is not of the type; None if there is none."""
    for key, value in given.items():
        try:
            msgspec.convert(value, value_type)
        except msgspec.ValidationError:
            return key
    return None


def _parts_of(schema: Any) -> Iterator[Any]:
    """Yield a type and whatever it is made of: the members of unions and lists, and what `Annotated` annotates."""
    yield schema
    for part in get_args(schema):
        yield from _parts_of(part)
