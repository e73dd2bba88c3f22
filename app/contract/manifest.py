"""The bundle's ``manifest.json``: its keys, their types, and how it is read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from app.contract.manifest_rules import check_manifest
from app.contract.strict_json import read_strict_json
from app.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION: Final = 1
"""Raised whenever the files or tensors of a bundle change meaning; a service refuses a newer one than its own."""

MANIFEST_FILE: Final = "manifest.json"
RANKER_FILE: Final = "ranker.onnx"
RETRIEVER_FILE: Final = "retriever.onnx"
ITEM_ENCODER_FILE: Final = "item_encoder.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
ITEMS_FILE: Final = "items.parquet"
ITEM_TABLE_FILE: Final = "item_table.npy"
GOLDEN_FILE: Final = "golden.json"
SIGNATURE_FILE: Final = "manifest.sig"

BUNDLE_FILES: Final = (
    RANKER_FILE,
    RETRIEVER_FILE,
    ITEM_ENCODER_FILE,
    TOKENIZER_FILE,
    ITEMS_FILE,
    ITEM_TABLE_FILE,
    GOLDEN_FILE,
)
"""Every file that ``manifest.json`` lists with its SHA-256 and size."""

PRECISIONS: Final = ("fp32", "fp16", "int8")

MAX_MANIFEST_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself.

    Attributes:
        format_version: See `FORMAT_VERSION`.
        name: The model's name, in ``/rank/{model}``.
        version: The bundle's version, unique for its content.
        created: UTC, ISO 8601.
        precision: One of `PRECISIONS`.
        history_length: H, how many events the model reads at most.
        actions: Action names in id order; the first is the default of ``/feedback``.
        vector_width: D of the item table.
        item_count: N, without the padding row.
        files: ``{name: {"sha256": hex, "size": bytes}}``.
        metrics: Offline evaluation of this precision, ``{"NDCG@10": ...}``.
        parity: Against FP32: score error, top-10 agreement, Kendall tau, NDCG change.
        opset: ONNX opset of the graphs.
        tensors: ``{file: {"inputs": [{"name", "dtype", "shape"}], "outputs": [...]}}``.
        max_tokens: T, longest text that the encoder reads, in tokens.
        objectives: Objective names in the order of ``objective_weights``.
        default_objective: ``{objective: weight}`` used when a request names none.
        calibration: How a score becomes a probability; see `app.contract.calibration`.
        training_data: Fingerprint and counts of what it was trained on.
        versions: Library versions at export.
    """

    format_version: int
    name: str
    version: str
    created: str
    precision: str
    history_length: int
    actions: tuple[str, ...]
    vector_width: int
    item_count: int
    files: dict[str, dict[str, Any]]
    metrics: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    opset: int = 0
    tensors: dict[str, Any] = field(default_factory=dict)
    max_tokens: int = 64
    objectives: tuple[str, ...] = ()
    default_objective: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    training_data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of ``manifest.json``."""
        return json.dumps(asdict(self), indent=2, sort_keys=False) + "\n"


def read_manifest(bundle: Path) -> Manifest:
    """Read and check ``manifest.json`` of a bundle folder.

    Raises:
        BundleError: If it is missing, no JSON, from a newer format, or a key is missing, of the wrong type or out of
            bounds.
    """
    path = bundle / MANIFEST_FILE
    if not path.is_file():
        raise BundleError(f"{bundle} is no bundle: it has no {MANIFEST_FILE}")
    return manifest_from(read_strict_json(path, max_bytes=MAX_MANIFEST_BYTES))


def manifest_from(raw: object) -> Manifest:
    """Check the parsed content of ``manifest.json`` and return it typed; unknown keys are ignored.

    Raises:
        BundleError: See `read_manifest`.
    """
    if not isinstance(raw, dict):
        raise BundleError(f"{MANIFEST_FILE} holds {type(raw).__name__}, expected an object")
    written = raw.get("format_version")
    if not isinstance(written, int) or isinstance(written, bool) or written < 1:
        raise BundleError(f"{MANIFEST_FILE}: format_version is {str(written)[:40]}, expected a whole number from 1")
    if written > FORMAT_VERSION:
        raise BundleError(
            f"{MANIFEST_FILE}: the bundle has format {str(written)[:40]}, this service reads up to {FORMAT_VERSION}"
        )
    check_manifest(raw, precisions=PRECISIONS, expected_files=BUNDLE_FILES)
    values = {name: value for name, value in raw.items() if name in Manifest.__dataclass_fields__}
    for name in ("actions", "objectives"):
        if name in values:
            values[name] = tuple(values[name])
    return Manifest(**values)
