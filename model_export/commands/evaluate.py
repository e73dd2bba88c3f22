"""Measure a run (several runs: seeds of one model) and its baselines on the full catalogue.

Protocol: every user's held-out event is ranked among the whole catalogue, no sampled negatives; items that the user
already had are left out (and left in for the column "unmasked"); ties count against a model. On the test set the
baselines know the training and validation events, as our own refit does; on the validation set the training events.
Writes report.md and its pictures to RUN/evaluation.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model_export.data.splits import LEAVE_ONE_OUT, SPLIT_NAMES
from model_export.errors import CommandError
from model_export.option_values import whole_number

if TYPE_CHECKING:
    import argparse

    from model_export.evaluation.subject import Subject


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--run", type=Path, nargs="+", metavar="RUN", help="run folder; several: seeds of one model")
    parser.add_argument("--data", type=Path, help="prepared data, for baselines without a run or with --bundle")
    parser.add_argument("--bundle", type=Path, help="evaluate this bundle through the class that serves, on --data")
    parser.add_argument("--split", choices=("test", "validation"), default="test", help="which questions (test)")
    parser.add_argument(
        "--division",
        choices=SPLIT_NAMES,
        help=f"how --data is divided (a bundle's own, else {LEAVE_ONE_OUT}; a run knows its own)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers, one object a model")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder of the report (RUN/evaluation)")
    parser.add_argument("--baselines", default="all", metavar="NAMES", help="comma-separated names, all or none (all)")
    parser.add_argument(
        "--known", choices=("train+validation", "train"), default="train+validation",
        help="what baselines know on the test set; train is what some papers do",
    )  # fmt: skip
    parser.add_argument("--users", type=whole_number(1), metavar="N", help="only a seeded sample of the questions")
    parser.add_argument(
        "--impressions",
        metavar="PART",
        help="also AUC, MRR and nDCG over the impressions of a part (MIND: dev)",
    )
    parser.add_argument("--device", default="cpu", help="where --run is scored: cpu, cuda, auto (cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate; print the table; write JSON and report."""
    from model_export.evaluation.comparison import OURS
    from model_export.evaluation.evaluation import EvaluationOptions, evaluate
    from model_export.evaluation.report import write_report
    from model_export.evaluation.tables import ranking_table

    subject = _subject(arguments)
    output = arguments.output or (arguments.run[0] / "evaluation" if arguments.run else None)
    options = EvaluationOptions(
        test=arguments.split == "test",
        baselines=arguments.baselines,
        baselines_know_validation=arguments.known == "train+validation",
        sample=arguments.users,
        deep=output is not None,
    )
    evaluation = evaluate(subject, options)
    print(ranking_table(evaluation.models))
    if arguments.impressions is not None:
        evaluation.models[OURS]["impressions"] = _over_impressions(arguments, subject)
    if output is not None:
        print(f"report: {write_report(output, evaluation)}")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(evaluation.models, indent=2, default=_plain) + "\n", "utf-8")
    return 0


def _over_impressions(arguments: argparse.Namespace, subject: Subject) -> dict[str, float]:
    """Return and print the metrics of the run's model over impressions, as the news field reports them."""
    from model_export.data.splits import events_before
    from model_export.evaluation.impression_file import RunImpressionScorer, read_impressions
    from model_export.evaluation.impressions import impression_metrics
    from model_export.training.trained_run import load_trained_run

    if not arguments.run or subject.data_folder is None:
        raise CommandError("--impressions needs --run, a run on data that has impressions")
    run = load_trained_run(arguments.run[0])
    ends_U = run.split.refit_ends if run.config.training.refit else run.split.train_ends
    after_ms = int(run.data.timestamps_ms[events_before(run.data, ends_U)].max())
    impressions = read_impressions(subject.data_folder, subject.data, arguments.impressions, after_ms=after_ms)
    found = impression_metrics(RunImpressionScorer(run.model), impressions)
    print(f"{found.impressions} impressions of {arguments.impressions}: AUC {found.auc:.4f}, MRR {found.mrr:.4f}, "
          f"nDCG@5 {found.ndcg_5:.4f}, nDCG@10 {found.ndcg_10:.4f}")  # fmt: skip
    return asdict(found)


def _subject(arguments: argparse.Namespace) -> Subject:
    from model_export.evaluation.subject import subject_of_bundle, subject_of_data, subject_of_runs

    if arguments.device != "cpu" and (arguments.bundle is not None or not arguments.run):
        raise CommandError(
            f"--device is {arguments.device!r}, but only --run is scored there: expected none without it"
        )
    for name in ("data", "bundle", "division"):
        if arguments.run and getattr(arguments, name) is not None:
            raise CommandError(
                f"--{name} does not go with --run, which knows its data and is no bundle: name one of them"
            )
    if arguments.bundle is not None:
        if arguments.data is None:
            raise CommandError("--bundle needs --data, the prepared data that its questions come from")
        return subject_of_bundle(arguments.bundle, arguments.data, arguments.division)
    if arguments.run:
        from model_export.training.precision import chosen_device

        device = str(chosen_device(arguments.device))
        return subject_of_runs(arguments.run, test=arguments.split == "test", device=device)
    if arguments.data is None:
        raise CommandError("nothing to evaluate, expected --run, --bundle with --data, or --data alone")
    return subject_of_data(arguments.data, arguments.division or LEAVE_ONE_OUT)


def _plain(value: object) -> object:
    """Turn numpy numbers into JSON's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")
