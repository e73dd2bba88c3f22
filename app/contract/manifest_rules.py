"""The rules that the parsed content of ``manifest.json`` must keep before anything acts on it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final, NoReturn

from app.errors import BundleError

MAX_HISTORY_LENGTH: Final = 10_000
MAX_VECTOR_WIDTH: Final = 65_536
MAX_ITEM_COUNT: Final = 1 << 31
MAX_TOKENS: Final = 1 << 17
MAX_FILE_BYTES: Final = 1 << 40
MAX_ACTIONS: Final = 4_096
MAX_NAME_CHARACTERS: Final = 128

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

_WHOLE_NUMBERS: Final = {
    "history_length": (1, MAX_HISTORY_LENGTH),
    "vector_width": (1, MAX_VECTOR_WIDTH),
    "item_count": (1, MAX_ITEM_COUNT),
    "max_tokens": (1, MAX_TOKENS),
    "opset": (0, 1_000),
}
_OBJECTS: Final = ("metrics", "parity", "tensors", "calibration", "training_data")
_REQUIRED: Final = (
    "name", "version", "created", "precision", "history_length", "actions", "vector_width", "item_count", "files",
)  # fmt: skip


def check_manifest(raw: dict[str, Any], *, precisions: tuple[str, ...], expected_files: tuple[str, ...]) -> None:
    """Check every known key of a manifest whose format version is already accepted.

    Raises:
        BundleError: One sentence that names the key, its value and what was expected.
    """
    missing = [name for name in _REQUIRED if name not in raw]
    if missing:
        _refuse(f"it lacks {', '.join(missing)}")
    for key in ("name", "version"):
        _check_safe_name(key, raw[key])
    _check_created(raw["created"])
    if raw["precision"] not in precisions:
        _refuse(f"precision is {_shown(raw['precision'])}, expected one of {', '.join(precisions)}")
    for key, (lowest, highest) in _WHOLE_NUMBERS.items():
        if key in raw:
            _check_whole_number(key, raw[key], lowest, highest)
    _check_names("actions", raw["actions"])
    if not raw["actions"]:
        _refuse("actions is empty, expected at least one action")
    _check_objectives(raw.get("objectives", []), raw.get("default_objective", {}))
    for key in _OBJECTS:
        if not isinstance(raw.get(key, {}), dict):
            _refuse(f"{key} is {_shown(raw[key])}, expected an object")
    versions = raw.get("versions", {})
    if not isinstance(versions, dict) or not all(isinstance(entry, str) for entry in versions.values()):
        _refuse(f"versions is {_shown(versions)}, expected an object of strings")
    _check_files(raw["files"], expected_files)


def is_safe_file_name(name: object) -> bool:
    """Tell whether ``name`` is one plain file name: no folder, no leading dot, ASCII, at most 128 characters."""
    return isinstance(name, str) and len(name) <= MAX_NAME_CHARACTERS and _SAFE_NAME.fullmatch(name) is not None


def _check_safe_name(key: str, value: object) -> None:
    if not is_safe_file_name(value):
        _refuse(f"{key} is {_shown(value)}, expected 1 to {MAX_NAME_CHARACTERS} of A-Z a-z 0-9 . _ + -")


def _check_created(value: object) -> None:
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        _refuse(f"created is {_shown(value)}, expected an ISO 8601 time")


def _check_whole_number(key: str, value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        _refuse(f"{key} is {_shown(value)}, expected a whole number from {lowest} to {highest}")


def _check_names(key: str, value: object) -> None:
    if not isinstance(value, list) or len(value) > MAX_ACTIONS:
        _refuse(f"{key} is {_shown(value)}, expected an array of at most {MAX_ACTIONS} names")
    for entry in value:
        if not isinstance(entry, str) or not 1 <= len(entry) <= MAX_NAME_CHARACTERS or not entry.isprintable():
            _refuse(f"{key} has the entry {_shown(entry)}, expected 1 to {MAX_NAME_CHARACTERS} printable characters")
    if len(set(value)) != len(value):
        _refuse(f"{key} names {_shown(value)}, expected no name twice")


def _check_objectives(objectives: object, weights: object) -> None:
    _check_names("objectives", objectives)
    if not isinstance(weights, dict):
        _refuse(f"default_objective is {_shown(weights)}, expected an object")
    for name, weight in weights.items():
        if not isinstance(objectives, list) or name not in objectives:
            _refuse(f"default_objective names {_shown(name)}, expected one of the objectives")
        if not isinstance(weight, int | float) or isinstance(weight, bool):
            _refuse(f"default_objective gives {_shown(name)} the weight {_shown(weight)}, expected a number")


def _check_files(files: object, expected_files: tuple[str, ...]) -> None:
    if not isinstance(files, dict):
        _refuse(f"files is {_shown(files)}, expected an object")
    for name, entry in files.items():
        if name not in expected_files:
            _refuse(f"files lists {_shown(name)}, expected only {', '.join(expected_files)}")
        if not isinstance(entry, dict) or set(entry) != {"sha256", "size"}:
            _refuse(f"files describes {name} as {_shown(entry)}, expected its sha256 and size")
        if not isinstance(entry["sha256"], str) or _SHA256.fullmatch(entry["sha256"]) is None:
            _refuse(f"the sha256 of {name} is {_shown(entry['sha256'])}, expected 64 hexadecimal digits")
        _check_whole_number(f"the size of {name}", entry["size"], 1, MAX_FILE_BYTES)
    missing = [name for name in expected_files if name not in files]
    if missing:
        _refuse(f"files does not list {', '.join(missing)}")


def _shown(value: object) -> str:
    """Return ``value`` short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= MAX_NAME_CHARACTERS else f"{text[:MAX_NAME_CHARACTERS]}..."


def _refuse(what: str) -> NoReturn:
    raise BundleError(f"manifest.json: {what}")
