"""Ratios are computed per round; table and figure hold every contender, its ratio and what is missing."""

import pytest

from bears_tl.bench import speed
from bears_tl.judging import plots


def rows(*values, **facts):
    return [{"round": i, "value": value, "peak_rss_bytes": 5e8} | facts for i, value in enumerate(values, 1)]


@pytest.fixture
def report():
    """Give a report of made-up measurements."""
    ours, peer = rows(40.0, 20.0, 44.0, start_seconds=3.0), rows(20.0, 10.0, 11.0, start_seconds=2.0)
    cold, article = rows(20.0), rows(500.0)

    def entry(label, group, measured, against, ours=False, note=""):
        summary = speed.summarize(measured, against, group != "training")
        return {"label": label, "group": group, "ours": ours, "note": note, "summary": summary}

    return {
        "contenders": {
            "ours_float32": entry("ours, float32", "body", ours, ours, ours=True),
            "peer": entry("a peer", "body", peer, ours),
            "bound_float32": entry("bound, float32", "bound", rows(80.0, 80.0, 80.0), ours),
            "train_cold": entry("bears train", "training", cold, cold, ours=True),
            "as_2019": entry("the article's loop", "training", article, cold, note="extrapolated from 5"),
            "fell": {"label": "a peer that fell", "group": "body", "ours": False, "note": "", "summary": None},
        },
        "machine": {"processor": "a processor", "cores": 2, "memory_bytes": 2**33, "gpus": []},
        "photos": {"count": 551, "sample": 128},
        "checkpoint": {"kind": "local"},
        "operations_per_photo": 11.4e9,
        "notice": "STAND-IN",
        "command": "bears benchmark --peers",
        "date": "2026-01-02",
        "rounds": 3,
        "left_out": {"an engine": "not installed: pip install it"},
        "failed": {"a peer that fell": "MemoryError"},
        "not_measured": ["a GPU (none was found)"],
    }


def test_a_ratio_is_that_of_a_round_not_of_medians():
    summary = speed.summarize(rows(20.0, 10.0, 11.0), rows(40.0, 20.0, 44.0), True)
    assert summary["ratios"] == [2.0, 2.0, 4.0] and summary["ratio"] == 2.0
    assert (summary["median"], summary["low"], summary["high"]) == (11.0, 10.0, 20.0)


def test_of_seconds_less_is_faster():
    assert speed.summarize(rows(500.0), rows(20.0), False)["ratio"] == 25.0


def test_a_round_in_which_one_of_both_was_not_measured_has_no_ratio():
    summary = speed.summarize(rows(20.0, 10.0), rows(40.0), True)
    assert summary["ratios"] == [2.0]
    assert speed.summarize(rows(20.0), [], True)["ratio"] is None


def test_what_was_not_taken_in_a_process_is_absent():
    summary = speed.summarize(rows(20.0), rows(20.0), True)
    assert summary["start_seconds"] is None and summary["peak_rss_bytes"] == 5e8


def test_the_table_says_what_was_measured_and_what_was_not(report):
    text = speed.table(report)
    assert "| a peer | 11.0 (10.0 to 20.0) | 2.00 (2.00 to 4.00) | 2.0 | 500 |" in text
    assert "| **ours, float32** | 40.0 (20.0 to 44.0) | 1.00 (1.00 to 1.00) | 3.0 | 500 |" in text
    assert "| bound, float32 | 80.0 (80.0 to 80.0) | 50% |" in text
    assert "| the article's loop | 500 (500 to 500) | 25.00 (25.00 to 25.00) |  | 500 | extrapolated from 5 |" in text
    for words in (
        "2026-01-02", "2 cores of a processor, 8 GiB", "no GPU", "`bears benchmark --peers`", "551 photos",
        "**STAND-IN**", "- Skipped: an engine (not installed: pip install it).",
        "- Failed: a peer that fell (MemoryError).", "- Not measured: a GPU (none was found).",
    ):  # fmt: skip
        assert words in text


def test_machines_stand_side_by_side_the_newest_first(report):
    report["checkpoint"]["precision"] = "float32"
    newer = report | {"date": "2026-03-04", "machine": report["machine"] | {"accelerations": ["AVX2", "VNNI"]}}
    lines = speed.overview([report, newer]).splitlines()
    assert len(lines) == 4 and len({line.count("|") for line in lines}) == 1
    assert "2 cores of a processor (AVX2, VNNI) | 2026-03-04 | tensorflow, float32 | 40.0 | 50% |" in lines[2]


def test_every_table_has_the_same_columns_in_all_rows(report):
    for line in speed.table(report).splitlines():
        if line.startswith("|"):
            assert line.count("|") == 7, line


def test_the_figure_shows_what_was_measured(report, tmp_path):
    drawn = speed.figure(report)
    labels = [label.get_text() for axis in drawn.axes for label in axis.get_yticklabels()]
    assert labels == ["ours, float32", "a peer", "bound, float32", "bears train", "the article's loop"]
    plots.save(drawn, tmp_path / "benchmark.png")
    assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
