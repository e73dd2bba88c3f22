"""The simulated shop and its truth."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from model_export.__main__ import main
from model_export.data.dataset import read_dataset
from model_export.data.simulation.catalogue import make_catalogue
from model_export.data.simulation.choice import (
    NO_LEAF,
    PARTNER_SHARE,
    STAY_BY_ACTION,
    STAY_FACTOR_AT_NEW_VISIT,
    ShopperStates,
    leaf_probabilities,
    next_item_probabilities,
)
from model_export.data.simulation.shop import ShopOptions, simulate
from model_export.data.simulation.truth import IMPOSSIBLE, oracle_scores, read_truth
from model_export.data.splits import leave_one_out
from model_export.data.statistics import statistics_of

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tensors import Float32Array, Int64Array
    from model_export.data.simulation.catalogue import Catalogue

SMALL = ShopOptions(users=300, items=200, seed=3)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small simulated shop."""
    folder = tmp_path_factory.mktemp("shop") / "data"
    simulate(folder, SMALL)
    return folder


def _catalogue(new_items: float = 0.0) -> Catalogue:
    return make_catalogue(np.random.default_rng(0), items=120, new_items=new_items, available_between_ms=(1000, 2000))


def _state(**changes: object) -> ShopperStates:
    state = ShopperStates(
        favourites_BF=np.array([[0, 1, 2]]),
        style_B=np.array([1]),
        leaf_B=np.array([3]),
        tier_B=np.array([2]),
        brand_B=np.array([4]),
        action_B=np.array([0]),
        new_visit_B=np.array([False]),
        now_ms_B=np.array([5000]),
    )
    return dataclasses.replace(state, **changes)


def _ndcg_at_10(scores: Float32Array, target_rows: Int64Array) -> float:
    own = scores[np.arange(len(scores)), target_rows]
    ranks = (scores >= own[:, None]).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0).mean())


def test_the_same_seed_makes_the_same_shop(shop: Path, tmp_path: Path) -> None:
    """Files are equal byte for byte; another seed makes another shop."""
    simulate(tmp_path / "again", SMALL)
    simulate(tmp_path / "other", dataclasses.replace(SMALL, seed=4))
    for name in ("interactions.parquet", "items.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (shop / name).read_bytes()
        assert (tmp_path / "other" / name).read_bytes() != (shop / name).read_bytes()


def test_the_shop_looks_like_one(shop: Path) -> None:
    """Real times, no repeats, three actions, unequal popularity, texts that differ, columns to show."""
    data = read_dataset(shop)
    figures = statistics_of(data)
    assert figures.timestamps_are_real
    assert figures.repeat_share == 0
    assert data.actions == ("view", "cart", "purchase")
    counts = np.sort(np.bincount(data.rows, minlength=201)[1:])
    assert counts[-20:].sum() > 3 * counts[:20].sum()
    assert len(set(data.item_texts())) == data.item_count
    assert {"title", "category", "brand", "price", "description"} <= set(data.items.column_names)
    titles = data.items.column("title").to_pylist()
    assert all(text.startswith(title) for text, title in zip(data.item_texts(), titles, strict=True))


def test_late_items_have_no_early_events(shop: Path) -> None:
    """The share of late items is as asked for, and nobody touched one before it was there."""
    data, truth = read_dataset(shop), read_truth(shop)
    available = truth.catalogue.available_from_ms_N[data.rows - 1]
    assert (truth.catalogue.available_from_ms_N > 0).sum() == 20
    assert (data.timestamps_ms >= available).all()


def test_truth_is_about_the_test_targets_of_leave_one_out(shop: Path) -> None:
    """Targets, histories and times stand in the order of the split."""
    data, truth = read_dataset(shop), read_truth(shop)
    test = leave_one_out(data).test
    assert truth.target_rows.tolist() == data.rows[test.events].tolist()
    assert truth.states.now_ms_B.tolist() == data.timestamps_ms[test.events].tolist()
    for position in (0, 7, len(truth) - 1):
        seen = truth.seen_rows[truth.seen_offsets[position] : truth.seen_offsets[position + 1]]
        first, last = data.user_offsets[test.users[position]], test.history_ends[position]
        assert seen.tolist() == data.rows[first:last].tolist()


def test_oracle_scores_are_log_probabilities_of_what_is_possible(shop: Path) -> None:
    """Rows sum to 1; padding and seen items are impossible; every target is possible."""
    truth = read_truth(shop)
    positions = np.array([5, 0, 9])
    scores = oracle_scores(truth, positions)
    assert scores.shape == (3, 201)
    assert scores.dtype == np.float32
    assert np.exp(scores.astype(np.float64)).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (scores[:, 0] == IMPOSSIBLE).all()
    for place, position in enumerate(positions):
        seen = truth.seen_rows[truth.seen_offsets[position] : truth.seen_offsets[position + 1]]
        assert (scores[place, seen] == IMPOSSIBLE).all()
    assert (scores[np.arange(3), truth.target_rows[positions]] > IMPOSSIBLE).all()


def test_the_oracle_is_calibrated_and_far_above_popularity(shop: Path) -> None:
    """The mean probability given to the truth is what chance allows, and its NDCG@10 beats popularity by far."""
    data, truth = read_dataset(shop), read_truth(shop)
    scores = oracle_scores(truth, np.arange(len(truth)))
    probability = np.exp(scores.astype(np.float64))
    expected = (probability**2).sum(axis=1)
    own = probability[np.arange(len(truth)), truth.target_rows]
    error = expected.std() / np.sqrt(len(truth)) + own.std() / np.sqrt(len(truth))
    assert abs(own.mean() - expected.mean()) < 3 * error
    popularity = np.bincount(data.rows, minlength=201).astype(np.float32)
    for_all = np.where(scores > IMPOSSIBLE, popularity, IMPOSSIBLE)
    assert _ndcg_at_10(scores, truth.target_rows) > 3 * _ndcg_at_10(for_all, truth.target_rows)


def test_texts_tell_everything_shoppers_care_for(shop: Path) -> None:
    """Items alike in type, style, tier and brand are described alike; style and tier stand in the text."""
    truth = read_truth(shop)
    items = pq.read_table(shop / "items.parquet").to_pylist()
    styles = {(style, item["style"]) for style, item in zip(truth.catalogue.style_N, items, strict=True)}
    assert len(styles) == len({style for style, _ in styles}) == 5
    assert all(item["style"] in item["text"] and item["brand"] in item["text"] for item in items)


def test_planted_drift_is_recorded_and_changes_behaviour(tmp_path: Path) -> None:
    """After the recorded event the style of what users touch is another one than before."""
    simulate(tmp_path / "data", dataclasses.replace(SMALL, drift_share=0.999))
    data, truth = read_dataset(tmp_path / "data"), read_truth(tmp_path / "data")
    drifted = np.flatnonzero(truth.drift_events >= 0)
    assert len(drifted) > 150
    same = []
    for user in drifted:
        first, last = data.user_offsets[user], data.user_offsets[user + 1]
        styles = truth.catalogue.style_N[data.rows[first:last] - 1]
        before, after = styles[: truth.drift_events[user]], styles[truth.drift_events[user] :]
        assert len(after) >= 4
        same.append(np.bincount(before, minlength=5).argmax() == np.bincount(after, minlength=5).argmax())
    assert np.mean(same) < 0.2


def test_missions_go_on_or_turn_to_the_partner() -> None:
    """The probability of each product type follows the latest action and whether a visit begins."""
    catalogue = _catalogue()
    elsewhere = {"favourites_BF": np.array([[0, 1, 2]])}
    stay = leaf_probabilities(catalogue, _state(**elsewhere))[0]
    bought = leaf_probabilities(catalogue, _state(**elsewhere, action_B=np.array([2])))[0]
    returning = leaf_probabilities(catalogue, _state(**elsewhere, new_visit_B=np.array([True])))[0]
    for leaf in (stay, bought, returning):
        assert leaf.sum() == pytest.approx(1.0)
    popular = catalogue.leaf_popularity_L[3] * (1 - STAY_BY_ACTION[0]) * (1 - PARTNER_SHARE)
    assert STAY_BY_ACTION[0] <= stay[3] <= STAY_BY_ACTION[0] + popular
    assert bought[3] < 0.2 < PARTNER_SHARE * 0.85 < bought[catalogue.partner_L[3]]
    assert returning[3] < stay[3]
    assert returning[3] > STAY_BY_ACTION[0] * STAY_FACTOR_AT_NEW_VISIT


def test_first_events_come_from_favourites() -> None:
    """Without a mission the dearest favourite is the likeliest type."""
    fresh = leaf_probabilities(_catalogue(), _state(leaf_B=np.array([NO_LEAF])))[0]
    assert fresh.argmax() == 0
    assert fresh.sum() == pytest.approx(1.0)


def test_seen_and_absent_items_have_no_probability() -> None:
    """What was seen or is not there yet cannot be next; the rest still sums to 1."""
    catalogue = _catalogue(new_items=0.5)
    seen = np.zeros((1, 120), bool)
    seen[0, :30] = True
    early = next_item_probabilities(catalogue, _state(now_ms_B=np.array([1])), seen)[0]
    late = next_item_probabilities(catalogue, _state(now_ms_B=np.array([3000])), seen)[0]
    assert early[:30].sum() == late[:30].sum() == 0
    assert early[catalogue.available_from_ms_N > 0].sum() == 0
    assert late[catalogue.available_from_ms_N > 0].sum() > 0
    assert early.sum() == pytest.approx(1.0)
    assert late.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--items", "10"), "--items is 10, expected at least 80"),
        (("--users", "0"), "--users is 0, expected at least 1"),
        (("--new-items", "1.5"), "--new-items is 1.5, expected a share from 0 to below 1"),
        (("--drift", "-1"), "--drift is -1.0, expected a share from 0 to below 1"),
    ],
)
def test_senseless_options_are_refused(
    options: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options out of bounds end with code 2, a sentence, and nothing written."""
    assert main(["simulate", "--output", str(tmp_path / "out"), *options]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_prepared_folder_with_its_truth(tmp_path: Path) -> None:
    """`simulate` leaves interactions, items, their counts and the truth, and may be repeated."""
    (tmp_path / "out").mkdir()
    assert main(["simulate", "--output", str(tmp_path / "out"), "--users", "20", "--items", "80"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "interactions.parquet",
        "items.parquet",
        "truth.npz",
        "prepared.json",
    }
    counts = json.loads((tmp_path / "out" / "prepared.json").read_text("utf-8"))
    events = pq.read_metadata(tmp_path / "out" / "interactions.parquet").num_rows
    assert counts == {"interactions": events, "users": 20, "items": 80, "bad_rows": 0}
    assert main(["simulate", "--output", str(tmp_path / "out"), "--users", "20", "--items", "80"]) == 0
