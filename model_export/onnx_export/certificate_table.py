"""Shows a bundle's certificate as a table that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.manifest import Manifest

_ROWS: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    ("largest score error", ("max_score_error",), "{:.2e}"),
    ("mean score error", ("mean_score_error",), "{:.2e}"),
    ("top-10 agreement", ("top10_agreement",), "{:.4f}"),
    ("Kendall tau", ("kendall_tau",), "{:.5f}"),
    ("NDCG@10 of the module", ("ndcg_reference",), "{:.5f}"),
    ("NDCG@10 of the bundle", ("ndcg",), "{:.5f}"),
    ("NDCG@10 change", ("ndcg_change",), "{:+.3%}"),
    ("its 95% interval, low", ("ndcg_change_low",), "{:+.3%}"),
    ("its 95% interval, high", ("ndcg_change_high",), "{:+.3%}"),
    ("encoder, mean cosine", ("encoder", "mean_cosine"), "{:.6f}"),
    ("encoder, smallest cosine", ("encoder", "min_cosine"), "{:.6f}"),
    ("all texts read by its encoder: top-10 agreement", ("online", "top10_agreement"), "{:.4f}"),
    ("all texts read by its encoder: NDCG@10 change", ("online", "ndcg_change"), "{:+.3%}"),
    ("golden requests, largest error", ("golden", "max_score_error"), "{:.2e}"),
    ("largest intermediate of the ranker", ("scan_ranker", "largest"), "{:.4g}"),
    ("largest float16 intermediate", ("scan_ranker", "largest_half"), "{:.4g}"),
    ("ranker in FP32, us a run", ("ranker_int8", "fp32_us"), "{:.0f}"),
    ("ranker with INT8 products, us a run", ("ranker_int8", "int8_us"), "{:.0f}"),
    ("ranker.onnx, bytes", ("sizes", "ranker.onnx"), "{:,}"),
    ("item_encoder.onnx, bytes", ("sizes", "item_encoder.onnx"), "{:,}"),
    ("item_table.npy, bytes", ("sizes", "item_table.npy"), "{:,}"),
)


def certificate_table(manifests: Sequence[Manifest]) -> str:
    """Return a Markdown table with one column a bundle; what a certificate does not say is left empty."""
    header = ["", *(manifest.precision for manifest in manifests)]
    rows = [header, ["---"] * len(header), ["version", *(manifest.version for manifest in manifests)]]
    rows.append(["opset", *(str(manifest.opset) for manifest in manifests)])
    for label, keys, form in _ROWS:
        found = [_value(manifest.parity, keys) for manifest in manifests]
        if any(value is not None for value in found):
            rows.append([label, *("" if value is None else form.format(value) for value in found)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _value(record: dict[str, Any], keys: tuple[str, ...]) -> Any:
    found: Any = record
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found if isinstance(found, int | float) else None
