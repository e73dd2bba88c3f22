"""The report page of an evaluation: Markdown with pictures, for people who decide about products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_export.evaluation.comparison import ORACLE, OURS
from model_export.evaluation.evaluation import KNOWN_EVENTS
from model_export.evaluation.plots import diversity_plot, drift_plot, ranking_plot, reliability_plot, slice_plot
from model_export.evaluation.tables import (
    SURE,
    classification_table,
    list_table,
    markdown_table,
    ranking_table,
    share,
    significance_table,
    slice_table,
)

_PROTOCOL: Final = """\
Full catalogue, no sampled negatives. Items that the user already had are left out of the list (left in for *unmasked*).
Rank = 1 + the number of other items that score at least as much: ties count against a model. Intervals are 95%
bootstrap intervals over users. `docs/evaluation.md` has the whole protocol."""

if TYPE_CHECKING:
    from pathlib import Path

    from model_export.evaluation.evaluation import Evaluation


def write_report(folder: Path, evaluation: Evaluation) -> Path:
    """Write ``report.md`` and its PNG pictures; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = [
        _opening(evaluation),
        _ranking(folder, evaluation),
        _significance(evaluation),
        _slices(folder, evaluation),
        _lists(folder, evaluation),
        _calibration(folder, evaluation),
        _drift(folder, evaluation),
        _method(evaluation),
    ]
    page = folder / "report.md"
    page.write_text("\n\n".join(section for section in sections if section) + "\n", "utf-8")
    return page


def _opening(evaluation: Evaluation) -> str:
    data = evaluation.subject.data
    which = f"{evaluation.subject.split.name} split, {'test' if evaluation.options.test else 'validation'} set"
    asked = (
        f"{len(evaluation.questions):,} held-out events of {data.user_count:,} users were predicted from what came"
        f" before, by ranking all {data.item_count:,} items ({which})."
    )
    lines = ["# How good are the lists?", asked]
    ours = evaluation.models.get(OURS)
    rivals = {name: found for name, found in evaluation.models.items() if name not in (OURS, ORACLE)}
    if ours and rivals:
        best = max(rivals, key=lambda name: rivals[name]["NDCG@10"])
        against = ours["against"][best]["NDCG@10"]
        sure = "a real difference" if against["p_value"] < SURE else "which may be chance"
        lines.append(
            f"**In {ours['HR@10']:.1%} of the cases the item that came next is among our first ten.** The best "
            f"baseline ({best}) has {rivals[best]['HR@10']:.1%}. In NDCG@10, which also counts how far up it stands, "
            f"ours is {share(against['relative'])} ({sure}, p = {against['p_value']:.4f})."
        )
        if against["difference"] <= 0:
            lines.append(
                f"**Ours does not beat {best} here.** If a limit ended the training (the run's log.txt says so), more "
                "of it may help; else serve what is simpler."
            )
    if ours and ORACLE in evaluation.models:
        lines.append(
            f"The shop is simulated, so the best possible is known: for users with {KNOWN_EVENTS} events or more, ours "
            f"has **{ours['share_of_oracle']:.1%}** of the oracle's NDCG@10."
        )
    return "\n\n".join(lines)


def _ranking(folder: Path, evaluation: Evaluation) -> str:
    ranking_plot(folder / "ranking.png", evaluation.models, OURS)
    return "\n\n".join(
        [
            "## Ranking",
            "![NDCG and hit rate of every model](ranking.png)",
            ranking_table(evaluation.models),
            classification_table(evaluation.models),
        ]
    )


def _significance(evaluation: Evaluation) -> str:
    ours = evaluation.models.get(OURS)
    if not ours or not ours["against"]:
        return ""
    seeds = len(ours.get("seeds", [1]))
    over = "users" if seeds == 1 else f"users and our {seeds} training seeds"
    return f"## Is the difference real?\n\nPaired bootstrap over {over}.\n\n{significance_table(ours)}"


def _slices(folder: Path, evaluation: Evaluation) -> str:
    slices = evaluation.dive.slices if evaluation.dive else {}
    parts = ["## For whom, and for which items"] if slices else []
    for number, (title, results) in enumerate(slices.items(), start=1):
        picture = f"slice{number}.png"
        slice_plot(folder / picture, title, results, OURS)
        parts.append(f"### {title}\n\n![NDCG by slice]({picture})\n\n{slice_table(results)}")
    return "\n\n".join(parts)


def _lists(folder: Path, evaluation: Evaluation) -> str:
    parts = [
        "## What the lists look like",
        f"Diversity is the mean of 1 - cosine over the pairs of a list, in {evaluation.subject.vectors_name}.",
        list_table(evaluation.models),
    ]
    if evaluation.dive and evaluation.dive.diversity:
        diversity_plot(folder / "diversity.png", evaluation.dive.diversity)
        rows = [
            [f"{point.diversity:g}", f"{point.ndcg:.4f}", f"{point.hit_rate:.4f}",
             f"{point.intra_list_diversity:.3f}", f"{point.catalogue_coverage:.3f}"]
            for point in evaluation.dive.diversity
        ]  # fmt: skip
        header = ["diversity setting", "NDCG@10", "HR@10", "diversity within 20", "catalogue shown"]
        parts += ["![NDCG against diversity](diversity.png)", markdown_table(header, rows)]
    return "\n\n".join(parts)


def _calibration(folder: Path, evaluation: Evaluation) -> str:
    dive = evaluation.dive
    if dive is None or dive.reliability_listed is None or dive.reliability_all is None:
        return ""
    reliability_plot(folder / "calibration.png", dive.reliability_listed)
    rows = [
        [where, f"{found.expected_error:.5f}", f"{found.log_loss:.6f}", f"{found.pairs:,}"]
        for where, found in (
            ("the first 20 of each list", dive.reliability_listed),
            ("the whole catalogue (weighted sample)", dive.reliability_all),
        )
    ]
    return "\n\n".join(
        [
            "## Are the probabilities true?",
            "`probability` is fitted on the validation set and checked here on other questions.",
            "![predicted and observed probabilities](calibration.png)",
            markdown_table(["items", "expected calibration error", "log loss", "pairs"], rows),
        ]
    )


def _drift(folder: Path, evaluation: Evaluation) -> str:
    points = evaluation.dive.drift if evaluation.dive else []
    if not points:
        return ""
    drift_plot(folder / "drift.png", points)
    rows = [
        [str(point.step), f"{point.changed:.4f}", f"{point.steady:.4f}", f"{point.low:+.4f} to {point.high:+.4f}"]
        for point in points
    ]
    told = (
        f"The gate between what {points[0].users:,} users do now and what they always liked, around the moment at "
        "which the simulation changed their tastes, beside as many users whose tastes stayed."
    )
    header = ["events since", "short-term share, changed", "steady", "95% of the difference"]
    picture = "![short-term share after a change of tastes](drift.png)"
    return "\n\n".join(["## When tastes change", told, picture, markdown_table(header, rows)])


def _method(evaluation: Evaluation) -> str:
    notes = [f"- {name}: {found['note'] or 'no note'}" for name, found in evaluation.models.items()]
    return "\n".join(
        [
            "## How this was measured",
            "",
            _PROTOCOL,
            "",
            *notes,
        ]
    )
