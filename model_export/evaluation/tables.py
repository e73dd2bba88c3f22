"""The evaluation as Markdown tables that a terminal shows as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_export.evaluation.slices import SliceResult

SURE: Final = 0.05


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with columns padded to equal width; the first is left-aligned, the others right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return "| " + " | ".join(padded) + " |"

    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def ranking_table(models: dict[str, dict[str, Any]]) -> str:
    """Return the main table: one row a model, headline metrics with 95% intervals.

    Args:
        models: The evaluation JSON, model name to its object.
    """
    header = ["model", "HR@10", "95%", "NDCG@10", "95%", "MRR@10", "HR@20", "HR@1", "AUC", "unmasked NDCG@10"]
    rows = [
        [
            name,
            _number(result["HR@10"]), _bounds(result, "HR@10"),
            _number(result["NDCG@10"]), _bounds(result, "NDCG@10"),
            _number(result["MRR@10"]), _number(result["HR@20"]), _number(result["Accuracy"]), _number(result["AUC"]),
            _number(result["unmasked"].get("NDCG@10", 0.0)),
        ]
        for name, result in models.items()
    ]  # fmt: skip
    return markdown_table(header, rows)


def classification_table(models: dict[str, dict[str, Any]]) -> str:
    """Return accuracy, precision, recall and F1 at 10; with one right item a list precision is at most 0.1."""
    header = ["model", "accuracy (HR@1)", "precision@10", "recall@10", "F1@10"]
    keys = ("Accuracy", "Precision@10", "Recall@10", "F1@10")
    return markdown_table(header, [[name, *(_number(result[key]) for key in keys)] for name, result in models.items()])


def list_table(models: dict[str, dict[str, Any]]) -> str:
    """Return what each model's top-10 lists look like as a whole."""
    header = ["model", "catalogue shown", "Gini of exposure", "diversity within a list"]
    keys = ("catalogue_coverage", "gini", "intra_list_diversity")
    rows = [[name, *(_number(result["lists"][key], 3) for key in keys)] for name, result in models.items()]
    return markdown_table(header, rows)


def significance_table(result: dict[str, Any]) -> str:
    """Return one model's differences to the others, with interval and p-value.

    Args:
        result: The model's object of the evaluation JSON.
    """
    header = ["compared with", "NDCG@10", "95%", "relative", "p", "real?"]
    rows = []
    for rival, metrics in result["against"].items():
        found = metrics["NDCG@10"]
        real = "yes" if found["p_value"] < SURE else "not shown"
        bounds = f"{found['low']:+.4f}..{found['high']:+.4f}"
        rows.append(
            [rival, f"{found['difference']:+.4f}", bounds, share(found["relative"]), f"{found['p_value']:.4f}", real]
        )
    return markdown_table(header, rows)


def slice_table(results: dict[str, list[SliceResult]]) -> str:
    """Return NDCG@10 (and HR@10) of several models, one row a slice, one column a model."""
    names = list(results)
    header = ["questions about", "how many", *(f"{name}: HR@10 / NDCG@10" for name in names), "random HR@10"]
    rows = []
    for position, first in enumerate(results[names[0]]):
        cells = [results[name][position] for name in names]
        rows.append(
            [
                first.slice_name,
                f"{first.questions:,}",
                *(f"{cell.hit_rate:.4f} / {cell.ndcg:.4f}" for cell in cells),
                f"{first.random_hit_rate:.4f}",
            ]
        )
    return markdown_table(header, rows)


def share(relative: float | None) -> str:
    """Return a relative difference in percent; against 0 there is none.

    >>> share(0.25), share(None)
    ('+25%', 'against 0')
    """
    return "against 0" if relative is None else f"{relative:+.0%}"


def _number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}"


def _bounds(result: dict[str, Any], key: str) -> str:
    if "intervals" not in result:
        return ""
    low, high = result["intervals"][key]
    return f"{low:.4f}-{high:.4f}"
