"""Opens a bundle: everything is verified and loaded, or nothing."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from app.contract.bundle_integrity import check_files
from app.contract.golden import Golden, read_golden
from app.contract.item_columns import ITEM_ID, ITEM_KEY, PRIOR, TEXT
from app.contract.manifest import ITEM_TABLE_FILE, ITEMS_FILE, Manifest, read_manifest
from app.contract.signature import check_signature
from app.errors import BundleError
from app.inference.certificate import Replay, replay
from app.inference.onnx_item_encoder import OnnxItemEncoder
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import Provider, obtain_provider

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_ITEM_COLUMNS: Final = {
    ITEM_ID: (pa.string(), pa.large_string()),
    TEXT: (pa.string(), pa.large_string()),
    PRIOR: (pa.float32(),),
    ITEM_KEY: (pa.uint64(),),
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """One loaded bundle.

    Attributes:
        path: The folder.
        manifest: What it says of itself.
        provider: What its sessions run on.
        ranker: Scores with ``item_table`` bound.
        encoder: Texts to vectors.
        item_table: ``[N + 1, D]``, memory-mapped and read-only; float16 in an fp16 bundle, else float32.
        golden: The requests that it is held to.
        certificate: The replay that was done at opening.
        published_ranker: The ranker with the table as it was published, for `replay_golden`.
    """

    path: Path
    manifest: Manifest
    provider: Provider
    ranker: OnnxRanker
    encoder: OnnxItemEncoder
    item_table: NDArray[Any]
    golden: Golden
    certificate: Replay
    published_ranker: OnnxRanker

    def read_items(self) -> pa.Table:
        """Return the table of ``items.parquet``; row ``r - 1`` is row r of the item table."""
        return pq.read_table(self.path / ITEMS_FILE, memory_map=True)

    def replay_golden(self) -> Replay:
        """Replay the golden requests and texts on the running sessions, against the table as it was published.

        Raises:
            BundleError: If they drift.
        """
        try:
            return replay(self.golden, self.manifest.precision, self.published_ranker, self.encoder)
        finally:
            _let_go_of_pages(self.item_table)


def open_bundle(
    path: Path,
    *,
    provider: Provider | str = "auto",
    threads: int = 1,
    encoder_threads: int = 1,
    public_key: Path | None = None,
) -> Bundle:
    """Verify every file, load them, and replay the golden requests on the provider that was got.

    Args:
        path: The bundle folder.
        provider: ``auto``, ``cpu``, ``cuda``, or one that was obtained before.
        threads: Threads of one ranking run.
        encoder_threads: Threads of one encoder run.
        public_key: Require a signature by this Ed25519 key (PEM file).

    Raises:
        BundleError: If anything is missing, altered, unsigned, of another format, or does not match its certificate.
        ProviderUnavailable: If the provider cannot be had.
    """
    manifest = verified_manifest(path, public_key=public_key)
    obtained = obtain_provider(provider) if isinstance(provider, str) else provider
    golden = read_golden(path, manifest)
    item_table = _open_item_table(path, manifest)
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="open-bundle") as pool:
        items_check = pool.submit(_check_items, path, manifest)
        encoding = pool.submit(OnnxItemEncoder, path, provider=obtained, max_tokens=manifest.max_tokens,
                               threads=encoder_threads)  # fmt: skip
        ranker = OnnxRanker(path, item_table, provider=obtained, threads=threads)
    items_check.result()
    certificate = replay(golden, manifest.precision, ranker, encoding.result())
    _let_go_of_pages(item_table)
    return Bundle(
        path, manifest, obtained, ranker, encoding.result(), item_table, golden, certificate,
        ranker.pinned(),
    )  # fmt: skip


def verified_manifest(path: Path, *, public_key: Path | None = None) -> Manifest:
    """Return the manifest of a bundle whose signature and files were checked.

    Raises:
        BundleError: If there is no bundle, it is not signed by ``public_key``, or a file is not as the manifest says.
    """
    if not path.is_dir():
        raise BundleError(f"the bundle {path} does not exist or is no folder")
    if public_key is not None:
        check_signature(path, public_key)
    manifest = read_manifest(path)
    check_files(path, manifest)
    return manifest


def _open_item_table(path: Path, manifest: Manifest) -> NDArray[Any]:
    try:
        table = np.load(path / ITEM_TABLE_FILE, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is Python text: damaged, it raises anything
        raise BundleError(f"{ITEM_TABLE_FILE} cannot be mapped: {str(error)[:300]}") from error
    dtype = np.dtype(np.float16 if manifest.precision == "fp16" else np.float32)
    shape = (manifest.item_count + 1, manifest.vector_width)
    if (
        not isinstance(table, np.ndarray)
        or table.dtype != dtype
        or table.shape != shape
        or not table.flags.c_contiguous
    ):
        raise BundleError(
            f"{ITEM_TABLE_FILE} is {table.dtype}{list(table.shape)}, expected {dtype}{list(shape)} in C order"
        )
    # np.memmap is a slow subclass: a plain view of the same pages costs less at every slice
    return np.asarray(table).view(np.ndarray)


def _let_go_of_pages(item_table: NDArray[Any]) -> None:
    """Give back the memory of the published table, which stays on disk: the service reads a mapping of its own."""
    owner: object = item_table
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)


def _check_items(path: Path, manifest: Manifest) -> None:
    """Check what there is to know of ``items.parquet`` without reading its values."""
    try:
        with pq.ParquetFile(path / ITEMS_FILE, memory_map=True) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except Exception as error:  # pyarrow raises more than its own exceptions on damaged files
        raise BundleError(f"{ITEMS_FILE} cannot be read: {str(error)[:300]}") from error
    if rows != manifest.item_count:
        raise BundleError(f"{ITEMS_FILE} has {rows} rows, expected item_count {manifest.item_count}")
    for column, types in _ITEM_COLUMNS.items():
        if column not in schema.names:
            raise BundleError(f"{ITEMS_FILE} has no column {column}")
        if schema.field(column).type not in types:
            raise BundleError(f"{ITEMS_FILE}: {column} is {schema.field(column).type}, expected {types[0]}")
