"""Turns a trained run into a published bundle: measures it through the classes that serve, and publishes or refuses."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from app.contract.manifest import BUNDLE_FILES, FORMAT_VERSION, ITEM_ENCODER_FILE, RANKER_FILE, RETRIEVER_FILE, Manifest
from app.errors import BundleError
from app.inference.certificate import replay
from model_export.errors import ExportError
from model_export.evaluation.calibration_fit import fit_calibration, scored_pairs
from model_export.evaluation.questions import Questions
from model_export.evaluation.run_scorer import RunScorer
from model_export.onnx_export import parity
from model_export.onnx_export.blame import blamed_layer
from model_export.onnx_export.draft import Draft, write_draft
from model_export.onnx_export.graph_builder import OPSET
from model_export.onnx_export.publish import bundle_draft, publish
from model_export.onnx_export.tensor_listing import tensors_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model_export.modeling.ranker import SequenceRanker
    from model_export.training.trained_run import TrainedRun


_LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "tokenizers", "torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What the user chooses.

    Attributes:
        precision: ``fp32``, ``fp16`` or ``int8``.
        name: The model's name in ``/rank/{model}``.
        sign_key: PEM file of an Ed25519 private key, or None for an unsigned bundle.
    """

    precision: str
    name: str = "seqrank"
    sign_key: Path | None = None


def export_run(
    run: TrainedRun,
    selected: SequenceRanker,
    destination: Path,
    options: ExportOptions,
    *,
    say: Callable[[str], None] = print,
) -> Manifest:
    """Publish ``run`` at ``destination``.

    Args:
        run: The trained run.
        selected: The run's model that has not trained on the validation questions: the calibration is fitted with it.
        destination: A folder that does not exist yet.
        options: See `ExportOptions`.
        say: Takes one line about each step.

    Raises:
        BundleError: If ``destination`` exists.
        ExportError: If a tolerance of the precision is missed; it names the layer where the error arises.
    """
    with bundle_draft(destination) as folder:
        draft = write_draft(run, folder, options.precision, say)
        record, metrics = _certified(run, draft, options.precision, say)
        say("fitting the calibration on the validation questions")
        pairs = scored_pairs(RunScorer(selected), Questions.of(run.data, run.split.validation))
        manifest = _manifest(run, options, calibration=fit_calibration(pairs).to_manifest(), folder=folder)
        manifest.parity.update(record)
        manifest.metrics.update(metrics)
        return publish(folder, destination, manifest, sign_key=options.sign_key)


def _certified(
    run: TrainedRun, draft: Draft, precision: str, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the parity record and the metrics of a draft that keeps every tolerance."""
    questions = Questions.of(run.data, run.split.test)
    say(f"measuring on {len(questions)} held-out questions")
    scores = parity.measure_scores(draft.reference, draft.ranker, questions)
    quality = parity.measure_quality(draft.reference, draft.ranker, questions)
    vectors = parity.measure_vectors(draft.expected_texts, draft.texts_ND)
    online_ranker = draft.ranker.pinned()
    online_ranker.use_item_table(draft.online_table())
    online = parity.measure_scores(draft.reference, online_ranker, questions)
    online_quality = parity.measure_quality(draft.reference, online_ranker, questions)
    missed = parity.shortfalls(precision, scores, quality, vectors, online)
    golden: dict[str, Any] = {}
    try:
        golden = asdict(replay(draft.golden, precision, draft.ranker, draft.encoder))
    except BundleError as error:
        missed.append(str(error))
    if missed:
        raise ExportError(f"the {precision} bundle is refused: {'; '.join(missed)}; {blamed_layer(draft, precision)}")
    del golden["took_ms"]
    sizes = {name: (draft.folder / name).stat().st_size for name in BUNDLE_FILES}
    record = parity.parity_record(scores, quality) | {
        "encoder": asdict(vectors),
        "online": parity.parity_record(online, online_quality),
        "golden": golden,
        "sizes": sizes,
        **draft.measurements,
    }
    return record, quality.metrics


def _manifest(run: TrainedRun, options: ExportOptions, *, calibration: dict[str, Any], folder: Path) -> Manifest:
    shape = run.model.shape
    outcomes = run.outcomes
    weighed = shape.objectives > 1
    return Manifest(
        format_version=FORMAT_VERSION,
        name=options.name,
        version="",
        created="",
        precision=options.precision,
        history_length=shape.history_length,
        actions=run.data.actions,
        vector_width=run.model.items.width,
        item_count=run.data.item_count,
        files={},
        opset=OPSET,
        tensors={file: tensors_of(folder / file) for file in (RANKER_FILE, RETRIEVER_FILE, ITEM_ENCODER_FILE)},
        max_tokens=run.max_tokens,
        objectives=outcomes.names if weighed else (),
        default_objective=outcomes.default_objective() if weighed else {},
        calibration=calibration,
        training_data={
            "fingerprint": run.data.fingerprint,
            "users": run.data.user_count,
            "items": run.data.item_count,
            "events": len(run.data.rows),
            "split": run.split.name,
            "refit": run.config.training.refit,
        },
        versions={name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()},
    )
