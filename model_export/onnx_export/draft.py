"""Writes the files of a bundle, all but the manifest, and opens them with the classes that serve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import torch
from tokenizers import Tokenizer
from torch import nn

from app.contract.manifest import GOLDEN_FILE, ITEM_ENCODER_FILE, RANKER_FILE, RETRIEVER_FILE, TOKENIZER_FILE
from app.inference.onnx_item_encoder import OnnxItemEncoder
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import obtain_provider
from model_export.modeling.encoder_loading import load_tokenizer
from model_export.onnx_export.encoder_graph import EncoderExport, export_item_encoder
from model_export.onnx_export.golden_requests import golden_of
from model_export.onnx_export.intermediates import ranker_feeds, scan_for_overflow
from model_export.onnx_export.item_table import TABLE_DTYPES, write_item_table, write_items
from model_export.onnx_export.popularity_prior import popularity_prior
from model_export.onnx_export.quantization import faster_ranker
from model_export.onnx_export.ranker_graph import ranker_model, retriever_model
from model_export.onnx_export.reference_model import ReferenceModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from app.contract.golden import Golden
    from app.contract.tensors import Float32Array
    from model_export.modeling.ranker import SequenceRanker
    from model_export.training.trained_run import TrainedRun

CALIBRATION_TEXTS: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A bundle without a manifest.

    Attributes:
        folder: Where the files are.
        reference: The trained module in FP32.
        golden: The golden requests with the reference's scores.
        table: The item table as written.
        ranker: The ranking graphs with that table.
        encoder: The encoder graph.
        texts_ND: ``float32[N, D]``, the catalogue's texts as the encoder graph reads them.
        deltas_ND: ``float32[N, D]``, what behaviour adds to them.
        measurements: What was found out while writing, for the certificate.
    """

    folder: Path
    reference: ReferenceModel
    golden: Golden
    table: NDArray[Any]
    ranker: OnnxRanker
    encoder: OnnxItemEncoder
    texts_ND: Float32Array
    deltas_ND: Float32Array
    measurements: dict[str, Any]

    @property
    def expected_texts(self) -> Float32Array:
        """``float32[N, D]``, the catalogue's texts as the reference reads them."""
        return self.reference.table_ND[1:] - self.deltas_ND

    def online_table(self) -> NDArray[Any]:
        """Return the item table that would be if the bundle's own encoder had read every text."""
        rows_ND = self.texts_ND + self.deltas_ND
        return np.concatenate([np.zeros_like(rows_ND[:1]), rows_ND]).astype(self.table.dtype)


def write_draft(run: TrainedRun, folder: Path, precision: str, say: Callable[[str], None]) -> Draft:
    """Write every file of ``precision`` into ``folder``.

    The item table is the reference's in every precision: it is computed once, offline, so there is no hurry that would
    be worth its accuracy. The bundle's own encoder reads the texts that come later.

    Raises:
        ExportError: If the model has a part that no graph was written for, or an intermediate tensor is not finite.
    """
    tokenizer = load_tokenizer(run.tokenizer_folder, max_tokens=run.max_tokens)
    tokenizer.save(str(folder / TOKENIZER_FILE))
    reference = ReferenceModel(run.model, folder / TOKENIZER_FILE, max_tokens=run.max_tokens)
    say("scoring the golden requests")
    golden = golden_of(reference, run.data, run.split.test)
    (folder / GOLDEN_FILE).write_text(golden.to_json(), "utf-8")
    table = write_item_table(folder, reference.table_ND, precision)
    write_items(folder, run.data.items, popularity_prior(run.data))
    say(f"writing the {precision} ranker")
    measured = _write_rankers(reference, golden, table, folder, precision)
    say(f"writing the {precision} encoder and reading {run.data.item_count} texts with it")
    encoder, encoder_export = _write_encoder(run, reference, folder, precision)
    with torch.inference_mode():
        deltas_ND = reference.ranker.item_deltas().numpy()
    return Draft(
        folder=folder,
        reference=reference,
        golden=golden,
        table=table,
        ranker=OnnxRanker(folder, table, provider=obtain_provider("cpu")),
        encoder=encoder,
        texts_ND=encoder.encode(run.data.item_texts()),
        deltas_ND=deltas_ND[1:],
        measurements=measured | {"encoder_graph": asdict(encoder_export)},
    )


def _write_encoder(
    run: TrainedRun, reference: ReferenceModel, folder: Path, precision: str
) -> tuple[OnnxItemEncoder, EncoderExport]:
    encoder_export = export_item_encoder(
        _TextsToVectors(reference.ranker).eval(),
        Tokenizer.from_file(str(folder / TOKENIZER_FILE)),
        folder / ITEM_ENCODER_FILE,
        precision=precision,
        calibration_texts=_spread(run.data.item_texts(), CALIBRATION_TEXTS),
    )
    encoder = OnnxItemEncoder(folder, provider=obtain_provider("cpu"), max_tokens=run.max_tokens)
    return encoder, encoder_export


def _write_rankers(
    reference: ReferenceModel, golden: Golden, table: NDArray[Any], folder: Path, precision: str
) -> dict[str, Any]:
    """Write both ranking graphs; return what was measured on them."""
    dtype = TABLE_DTYPES[precision]
    measured: dict[str, Any] = {}
    model = ranker_model(reference.ranker, dtype)
    if precision == "int8":
        longest = max(golden.requests, key=lambda request: len(request.history_rows_H))
        model, trial = faster_ranker(model, ranker_feeds(longest, table))
        measured["ranker_int8"] = asdict(trial)
    onnx.save(model, folder / RANKER_FILE)
    onnx.save(retriever_model(reference.ranker, dtype), folder / RETRIEVER_FILE)
    for file, with_candidates in ((RANKER_FILE, True), (RETRIEVER_FILE, False)):
        feeds = (ranker_feeds(request, table, with_candidates=with_candidates) for request in golden.requests)
        measured[f"scan_{file.partition('.')[0]}"] = asdict(scan_for_overflow(folder / file, feeds))
    return measured


class _TextsToVectors(nn.Module):
    """`SequenceRanker.encode_texts` as a module of its own, for the encoder's exporter."""

    def __init__(self, ranker: SequenceRanker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return float32[N, D]."""
        return self.ranker.encode_texts(input_ids, attention_mask)


def _spread(texts: list[str], count: int) -> list[str]:
    """Return at most ``count`` texts, evenly from the whole catalogue."""
    if len(texts) <= count:
        return texts
    return [texts[position] for position in np.linspace(0, len(texts) - 1, count).astype(int)]
