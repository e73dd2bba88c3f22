"""Numbers on the command line."""

from __future__ import annotations

import pytest

from model_export.__main__ import main


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("train --data d --run r --seed -1", "argument --seed: the value is -1, expected a whole number from 0 to"),
        ("train --data d --run r --seed 4294967296", "the value is 4294967296, expected a whole number from 0 to"),
        ("simulate --output d --seed -1", "argument --seed: the value is -1"),
        ("pretrain --data d --output e --seed -1", "argument --seed: the value is -1"),
        ("pretrain --data d --output e --max-tokens 1", "the value is 1, expected a whole number of 4 or more"),
        ("pretrain --data d --output e --epochs 0", "argument --epochs: the value is 0"),
        ("pretrain --data d --output e --batch-size 0", "argument --batch-size: the value is 0"),
        ("pretrain --data d --output e --learning-rate nan", "the value is nan, expected a number from 1e-09 to 1"),
        ("collect --redis u --output o --events-a-part 0", "argument --events-a-part: the value is 0"),
        ("evaluate --data d --users 0", "argument --users: the value is 0, expected a whole number of 1 or more"),
        ("evaluate --data d --users -1", "argument --users: the value is -1"),
        ("tune --data d --output s --trials 0", "argument --trials: the value is 0"),
        ("tune --data d --output s --trials many", "the value is many, expected a whole number of 1 or more"),
        ("replay --url u --data d --concurrency 0", "argument --concurrency: the value is 0"),
        ("replay --url u --data d --users 0", "argument --users: the value is 0"),
        ("replay --url u --data d --top-k 9", "the value is 9, expected a whole number of 10 or more"),
        ("replay --url u --data d --diversity 1.1", "the value is 1.1, expected a number from 0 to 1"),
        ("replay --url u --data d --objective {", "the value is {, expected a JSON object of weights"),
        ("replay --url u --data d --objective [1]", "the value is [1], expected a JSON object of weights"),
    ],
)
def test_a_number_out_of_bounds_is_refused_in_a_sentence(
    command: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is read or written argparse names option, value and expectation, and ends with 2."""
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
