"""The train command as a user runs it: killed, resumed, shared by two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from model_export.__main__ import main
from model_export.errors import CommandError
from model_export.run_directory import RunDirectory
from model_export.training.trained_run import load_trained_run
from tests.small_run import write_bert

ROOT = Path(__file__).parents[2]
CONFIG = """
[model]
width = 16
vector_width = 16
history_length = 10

[text]
width = 8
max_tokens = 8

[training]
max_epochs = {epochs}
patience = 100
positions_per_batch = 64
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    users = np.repeat(np.arange(40), 8)
    events = {
        "user_id": [f"u{user}" for user in users],
        "item_id": [f"i{item}" for item in random.integers(0, 12, len(users))],
        "action": ["view"] * len(users),
        "timestamp": (1_600_000_000_000 + np.cumsum(random.integers(1000, 90_000_000, len(users)))).tolist(),
        "rating": pa.array([None] * len(users), pa.float64()),
    }
    pq.write_table(pa.table(events), folder / "interactions.parquet")
    items = {"item_id": [f"i{item}" for item in range(12)], "text": [f"thing {item}" for item in range(12)]}
    pq.write_table(pa.table(items), folder / "items.parquet")
    return folder


def config_file(folder, epochs):
    path = folder / "config.toml"
    path.write_text(CONFIG.format(epochs=epochs))
    return path


def command(data, run, config):
    return [
        sys.executable,
        "-m",
        "model_export",
        "train",
        "--data",
        str(data),
        "--run",
        str(run),
        "--config",
        str(config),
    ]


def test_a_run_killed_by_signal_9_ends_with_the_weights_of_one_that_was_not(data, tmp_path):
    """Killed once a checkpoint is there, then started again: every weight equals the uninterrupted run's."""
    config = config_file(tmp_path, epochs=12)
    assert main(command(data, tmp_path / "whole", config)[3:]) == 0
    killed = subprocess.Popen(command(data, tmp_path / "killed", config), cwd=ROOT, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoints" / "latest.pt"
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert main(command(data, tmp_path / "killed", config)[3:]) == 0
    whole, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(np.array_equal(resumed[name], value) for name, value in whole.items())
    assert "going on with" in (tmp_path / "killed" / "log.txt").read_text()


def test_two_processes_train_one_model(data, tmp_path):
    """Under torchrun two processes share the batches; the first one writes a run that opens."""
    run, config = tmp_path / "run", config_file(tmp_path, epochs=2)
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "--",
        "model_export",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [*launcher, *command(data, run, config)[3:]], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    opened = load_trained_run(run)
    assert opened.model.item_table().shape == (13, 16)
    assert [entry["epoch"] for entry in json.loads((run / "metrics.json").read_text())["epochs"]][:2] == [1, 2]


def test_another_configuration_is_not_mixed_into_an_unfinished_run(data, tmp_path, capsys):
    """A folder that holds an unfinished run takes the same options only."""
    run = tmp_path / "run"
    assert main(command(data, run, config_file(tmp_path, epochs=1))[3:]) == 0
    (run / "model.safetensors").unlink()
    assert main(command(data, run, config_file(tmp_path, epochs=2))[3:]) == 2
    assert "another configuration" in capsys.readouterr().err


def test_a_complete_run_is_left_alone(data, tmp_path):
    """The second command does nothing and succeeds."""
    run, config = tmp_path / "run", config_file(tmp_path, epochs=1)
    assert main(command(data, run, config)[3:]) == 0
    written = (run / "model.safetensors").stat().st_mtime_ns
    assert main(command(data, run, config)[3:]) == 0
    assert (run / "model.safetensors").stat().st_mtime_ns == written


def test_the_model_before_the_refit_is_raised_as_the_one_that_goes_live(data, tmp_path):
    """Both models of a run raise new items by what its metrics say; a run that does not say is told to train again."""
    run, config = tmp_path / "run", config_file(tmp_path, epochs=1)
    assert main(command(data, run, config)[3:]) == 0
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    unraised = load_file(run / "selected.safetensors")["items.adaptor.bias"][-1]
    assert load_trained_run(run, selected=True).model.items.adaptor.bias[-1].item() == pytest.approx(
        unraised + metrics.pop("new_item_boost")
    )
    (run / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    with pytest.raises(CommandError, match="an earlier version made this run, train it again"):
        load_trained_run(run, selected=True)


def test_texts_are_read_as_in_the_table(data, tmp_path):
    """`encode_texts` plus the delta is the row of the item table: the export's item encoder fits the table."""
    import torch

    from model_export.training.item_texts import text_encoder

    run = tmp_path / "run"
    assert main(command(data, run, config_file(tmp_path, epochs=1))[3:]) == 0
    opened = load_trained_run(run)
    encodings = text_encoder(opened.config.text).tokenizer.encode_batch(opened.data.item_texts())
    ids, mask = (torch.tensor([getattr(e, name) for e in encodings]) for name in ("ids", "attention_mask"))
    with torch.inference_mode():
        rows = opened.model.encode_texts(ids, mask) + opened.model.item_deltas()[1:]
        torch.testing.assert_close(rows, opened.model.item_table()[1:], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("[model]\nheads = 3", "model.heads is 3, expected a divisor of model.width, which is 128"),
        ("[model]\nwidth = 5", "model.heads is 2, expected a divisor of model.width, which is 5"),
        ("[training]\nmax_minutes = -1", "training.max_minutes is -1.0, expected 0.0 to inf"),
        ("seed = -1", "seed is -1, expected 0 to 4294967295"),
    ],
)
def test_an_impossible_setting_is_refused_before_anything_is_written(data, tmp_path, capsys, settings, sentence):
    """Also where the data chooses the other half; so the corrected command may name the same folder."""
    config = tmp_path / "impossible.toml"
    config.write_text(settings)
    assert main(command(data, tmp_path / "run", config)[3:]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_files_is_refused(data, tmp_path, capsys):
    """A run begins in a new folder, or in one where a run was killed."""
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    config = config_file(tmp_path, epochs=1)
    assert main(command(data, run, config)[3:]) == 2
    assert "holds 'notes.txt', which is not from a training; name an empty or new folder" in capsys.readouterr().err
    assert [path.name for path in run.iterdir()] == ["notes.txt"]
    (run / "notes.txt").rename(run / "environment.json.unfinished")
    assert main(command(data, run, config)[3:]) == 0
    (run / "notes.txt").write_text("mine")
    (run / "model.safetensors").unlink()
    assert main(command(data, run, config)[3:]) == 0


@pytest.fixture
def changed_data(data, tmp_path):
    """The data with one more event."""
    folder = tmp_path / "changed"
    folder.mkdir()
    events = pq.read_table(data / "interactions.parquet")
    pq.write_table(pa.concat_tables([events, events.slice(0, 1)]), folder / "interactions.parquet")
    pq.write_table(pq.read_table(data / "items.parquet"), folder / "items.parquet")
    return folder


@pytest.mark.parametrize("unfinished", [False, True], ids=["complete", "unfinished"])
def test_other_data_does_not_go_with_a_run(unfinished, data, changed_data, tmp_path, capsys):
    """Neither is a run of yesterday's data taken for one of today's, nor is it gone on with."""
    run, config = tmp_path / "run", config_file(tmp_path, epochs=1)
    assert main(command(data, run, config)[3:]) == 0
    if unfinished:
        (run / "model.safetensors").unlink()
    assert main(command(changed_data, run, config)[3:]) == 2
    assert f"on other data than {changed_data} has now; name another folder" in capsys.readouterr().err


def test_another_configuration_is_not_taken_for_a_complete_run(data, tmp_path, capsys):
    """The setting that differs is named."""
    run = tmp_path / "run"
    assert main(command(data, run, config_file(tmp_path, epochs=1))[3:]) == 0
    assert main([*command(data, run, config_file(tmp_path, epochs=1))[3:], "--seed", "5"]) == 2
    assert "holds a complete run with another configuration (seed is 5 here and 1 there)" in capsys.readouterr().err


def test_two_trainings_do_not_share_a_folder(data, tmp_path, capsys):
    """The second is refused while the first is at work."""
    run, config = tmp_path / "run", config_file(tmp_path, epochs=1)
    with RunDirectory(run).locked():
        assert main(command(data, run, config)[3:]) == 2
    assert "another training is at work in" in capsys.readouterr().err
    assert main(command(data, run, config)[3:]) == 0


def test_users_with_two_events_leave_nothing_to_ask(tmp_path, capsys):
    """Without a validation question no number of epochs could be chosen; nothing is written."""
    folder = tmp_path / "data"
    folder.mkdir()
    events = {"user_id": ["a", "a", "b"], "item_id": ["x", "y", "x"], "action": ["view"] * 3, "timestamp": [1, 2, 3]}
    pq.write_table(pa.table({**events, "rating": pa.nulls(3, pa.float32())}), folder / "interactions.parquet")
    pq.write_table(pa.table({"item_id": ["x", "y"], "text": ["x", "y"]}), folder / "items.parquet")
    assert main(command(folder, tmp_path / "run", config_file(tmp_path, epochs=1))[3:]) == 2
    assert "has no validation question, expected users with three events or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_cut_for_everybody_is_questioned_where_times_are_made_up(data, tmp_path, capsys):
    """Constant steps have nothing to do with each other from user to user."""
    table = pq.read_table(data / "interactions.parquet")
    steps = pa.array([1_600_000_000_000 + 1000 * (row % 8) for row in range(table.num_rows)])
    folder = tmp_path / "data"
    folder.mkdir()
    made_up = table.set_column(table.column_names.index("timestamp"), "timestamp", steps)
    pq.write_table(made_up, folder / "interactions.parquet")
    pq.write_table(pq.read_table(data / "items.parquet"), folder / "items.parquet")
    main([*command(folder, tmp_path / "run", config_file(tmp_path, epochs=1))[3:], "--split", "temporal"])
    assert "with made-up times that means nothing, try leave-one-out" in capsys.readouterr().out


def test_a_full_disk_is_a_sentence(data, tmp_path):
    """Where weights cannot be written, the command names the file and ends with 2; there is no traceback."""
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
    limited += "from model_export.__main__ import main; sys.exit(main(sys.argv[1:]))"
    arguments = command(data, tmp_path / "run", config_file(tmp_path, epochs=1))[3:]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"train: {tmp_path / 'run' / 'selected.safetensors'} cannot be written: ")
    assert "Traceback" not in ended.stderr


def test_a_run_opens_from_another_working_directory(data, tmp_path, monkeypatch):
    """An encoder folder that was named from here is found from there."""
    write_bert(tmp_path / "bert")
    config = config_file(tmp_path, epochs=1)
    monkeypatch.chdir(tmp_path)
    assert main([*command(data, tmp_path / "run", config)[3:], "--encoder", "bert"]) == 0
    monkeypatch.chdir("/")
    assert load_trained_run(tmp_path / "run").tokenizer_folder == tmp_path / "bert"
