"""The reference split of ml-100k, from the files as RecBole publishes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_export.__main__ import main
from model_export.data.dataset import read_dataset
from model_export.data.splits import leave_one_out
from model_export.data.statistics import timestamps_are_real

SHARED = Path(__file__).parents[4] / "../shared/data"


def _generated(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Write atomic files with many ties in file order, and the split that they have."""
    moments = [3, 1, 1, 2, 1, 3]
    events = [(user, str(10 * user + place), moments[place]) for place in range(6) for user in (1, 2)]
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += [f"{user}\t{item}\t1\t{moment}" for user, item, moment in events]
    (folder / "x.inter").write_text("\n".join(lines) + "\n")
    reference = []
    for user in (1, 2):
        history = sorted((event for event in events if event[0] == user), key=lambda event: event[2])
        items = [item for _, item, _ in history]
        times = [moment for _, _, moment in history]
        reference.append({"user": str(user), "train": items[:-2], "valid": items[-2], "test": items[-1], "t": times})
    return folder, reference


@pytest.mark.shared_data
def test_prepare_and_leave_one_out_reproduce_the_reference_split(tmp_path: Path) -> None:
    """Training, validation and test items and times are exactly those of the reference, user by user, tie by tie."""
    source = SHARED / "ml-100k"
    if source.exists():
        reference = [json.loads(line) for line in (source / "leave_one_out.jsonl").read_text().splitlines()]
    else:
        source, reference = _generated(tmp_path)
    output = tmp_path / "out"
    assert main(["prepare", "--format", "recbole", "--input", str(source), "--output", str(output)]) == 0
    data = read_dataset(output)
    split = leave_one_out(data)
    names = ["padding", *data.item_ids()]
    found = []
    for place, user in enumerate(split.test.users):
        first, last = data.user_offsets[user], data.user_offsets[user + 1]
        found.append(
            {
                "user": data.user_ids[user],
                "train": [names[row] for row in data.rows[first : split.train_ends[user]]],
                "valid": names[data.rows[split.validation.events[place]]],
                "test": names[data.rows[split.test.events[place]]],
                "t": [int(time) // 1000 for time in data.timestamps_ms[first:last]],
            }
        )
    assert sorted(found, key=lambda row: row["user"]) == sorted(reference, key=lambda row: row["user"])


@pytest.mark.shared_data
def test_order_only_data_is_recognised(tmp_path: Path) -> None:
    """Amazon Games has one made-up hour between events: its times are not real."""
    source = SHARED / "amazon-games"
    if not source.exists():
        source = tmp_path / "in"
        source.mkdir()
        rows = [f"u{user},i{step},{1400000000000 + 3600000 * step}" for user in range(3) for step in range(9)]
        (source / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n")
    output = tmp_path / "out"
    assert main(["prepare", "--format", "csv", "--input", str(source), "--output", str(output)]) == 0
    assert not timestamps_are_real(read_dataset(output))
