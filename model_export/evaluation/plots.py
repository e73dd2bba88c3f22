"""The pictures of an evaluation report, as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.evaluation.calibration_fit import Reliability
    from model_export.evaluation.diversity_curve import DiversityPoint
    from model_export.evaluation.drift import DriftPoint
    from model_export.evaluation.slices import SliceResult

_OURS: Final = "#1f6feb"
_OTHERS: Final = "#9aa4b2"
_ORACLE: Final = "#2da44e"
_DPI: Final = 130


def ranking_plot(path: Path, models: dict[str, dict[str, Any]], ours: str) -> None:
    """Draw NDCG@10 and HR@10 of every model as bars with 95% intervals, best on top."""
    names = sorted(models, key=lambda name: models[name]["NDCG@10"])
    figure = Figure(figsize=(10, 0.45 * len(names) + 1.5), layout="constrained")
    for axes, key in zip(figure.subplots(1, 2, sharey=True), ("NDCG@10", "HR@10"), strict=True):
        values = [models[name][key] for name in names]
        bounds = [models[name].get("intervals", {}).get(key, [models[name][key]] * 2) for name in names]
        spread = [
            [max(value - low, 0.0) for value, (low, _) in zip(values, bounds, strict=True)],
            [max(high - value, 0.0) for value, (_, high) in zip(values, bounds, strict=True)],
        ]
        colours = [_OURS if name == ours else _ORACLE if name == "oracle" else _OTHERS for name in names]
        axes.barh(names, values, xerr=spread, color=colours, ecolor="#333333", capsize=3)
        for position, (value, high) in enumerate(zip(values, spread[1], strict=True)):
            place = (value + high, position)
            axes.annotate(f"{value:.4f}", place, xytext=(4, 0), textcoords="offset points", va="center")
        axes.set_title(f"{key}, with 95% intervals")
        axes.margins(x=0.18)
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def slice_plot(path: Path, title: str, results: dict[str, list[SliceResult]], ours: str) -> None:
    """Draw NDCG@10 of a few models over the slices of one kind."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    labels = [f"{part.slice_name}\n{part.questions:,}" for part in next(iter(results.values()))]
    width = 0.8 / len(results)
    for number, (name, parts) in enumerate(results.items()):
        places = [place + (number - (len(results) - 1) / 2) * width for place in range(len(parts))]
        shade = _OURS if name == ours else ("#9aa4b2", "#c9d1d9", "#57606a", "#d8dee4")[number % 4]
        axes.bar(places, [part.ndcg for part in parts], width, label=name, color=shade)
    axes.set_xticks(range(len(labels)), labels, fontsize=7)
    axes.set_title(f"{title}: NDCG@10", fontsize=10)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def diversity_plot(path: Path, points: list[DiversityPoint]) -> None:
    """Draw NDCG@10 against diversity within a list and against the share of the catalogue that is shown."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes_pair = figure.subplots(1, 2, sharey=True)
    horizontal = (
        ("diversity within a list (mean of 1 - cosine)", [point.intra_list_diversity for point in points]),
        ("share of the catalogue in some list", [point.catalogue_coverage for point in points]),
    )
    for axes, (label, values) in zip(axes_pair, horizontal, strict=True):
        axes.plot(values, [point.ndcg for point in points], marker="o", color=_OURS)
        for number, (value, point) in enumerate(zip(values, points, strict=True)):
            # above and below in turn: neighbours are often as good as one point
            place = {"xytext": (0, 6 if number % 2 == 0 else -15), "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{point.diversity:g}", (value, point.ndcg), **place)
        axes.margins(x=0.08)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    axes_pair[0].set_ylabel("NDCG@10")
    axes_pair[0].set_ylim(0, 1.15 * max(point.ndcg for point in points) + 1e-6)
    figure.suptitle("diversity setting at each point", fontsize=10)
    _save(figure, path)


def drift_plot(path: Path, points: list[DriftPoint]) -> None:
    """Draw how much further on the short-term side the gate of changed users stands, with 95% intervals."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    middles = [(point.low + point.high) / 2 for point in points]
    spread = [(point.high - point.low) / 2 for point in points]
    axes.axhline(0.0, color=_OTHERS, linewidth=1)
    axes.errorbar([point.step for point in points], middles, yerr=spread, marker="o", color=_OURS, capsize=3)
    axes.set_xlabel("events seen since tastes changed")
    axes.set_ylabel("short-term share, changed - steady")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def reliability_plot(path: Path, reliability: Reliability) -> None:
    """Draw predicted against observed probabilities of listed items; on the diagonal they are true."""
    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    highest = float(max(reliability.predicted_bins.max(), reliability.observed_bins.max(), 1e-6)) * 1.1
    axes.plot([0, highest], [0, highest], color=_OTHERS, linestyle="--", label="as predicted")
    axes.plot(reliability.predicted_bins, reliability.observed_bins, marker="o", color=_OURS, label="observed")
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share that was the next item")
    axes.set_title(f"calibration error {reliability.expected_error:.4f}", fontsize=10)
    axes.legend(frameon=False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI)
