"""The counts of workers that are gone stay, in a fixed number of files."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from app.observability.gone_workers import forget_worker

LISTS = mmap_key("lists_total", "lists_total", ["outcome"], ["full"], "Lists.")
BUCKET = mmap_key("seconds", "seconds_bucket", ["le"], ["+Inf"], "Seconds.")


def count(folder, pid, lists, observations):
    for kind, key, value in (("counter", LISTS, lists), ("histogram", BUCKET, observations)):
        numbers = MmapedDict(str(folder / f"{kind}_{pid}.db"))
        numbers.write_value(key, value, 0.0)
        numbers.close()


def scraped(folder):
    """Return what a scrape says: lists, and observations."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    outcome = registry.get_sample_value("lists_total", {"outcome": "full"})
    return outcome, registry.get_sample_value("seconds_bucket", {"le": "+Inf"})


def test_no_count_is_lost_and_no_file_is_left(tmp_path):
    """Twenty workers end one after the other: the sums stay what they were, in two files beside those of the last."""
    for pid in range(1, 22):
        count(tmp_path, pid, lists=float(pid), observations=2.0 * pid)
    before = scraped(tmp_path)
    for pid in range(1, 21):
        forget_worker(tmp_path, pid, keep_counts=True)
        assert scraped(tmp_path) == before
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"counter_gone.db", "histogram_gone.db", "counter_21.db", "histogram_21.db"}


def test_a_worker_that_never_served_leaves_nothing(tmp_path):
    """Its zeros, and files that it never wrote to, are removed."""
    count(tmp_path, 1, lists=3.0, observations=3.0)
    count(tmp_path, 2, lists=0.0, observations=0.0)
    (tmp_path / "counter_3.db").touch()
    (tmp_path / "gauge_livemostrecent_2.db").touch()
    forget_worker(tmp_path, 2, keep_counts=False)
    forget_worker(tmp_path, 3, keep_counts=True)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_1.db", "histogram_1.db"}
