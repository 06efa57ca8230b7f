"""The table of switches as Markdown: the same from numbers and from a CSV file."""

from bears_tl.article.costs import HEADINGS, table
from bears_tl.files import read_csv, write_csv

ROW = {
    "turned": "none", "position": "", "seeds": 1, "photos": 184, "errors": 2, "accuracy": 182 / 184, "low": 0.961,
    "high": 0.997, "printed": 0.98918, "loss": 0.05, "paired_photos": 184, "only_article_right": 0,
    "only_turned_right": 0, "p_value": 1.0, "loss_change": 0.0, "change_low": 0.0, "change_high": 0.0,
}  # fmt: skip


def test_a_row_a_turn_and_the_article_is_compared_with_nothing(tmp_path):
    better = {
        "only_turned_right": 6,
        "p_value": 0.03125,
        "loss_change": -0.01,
        "change_low": -0.03,
        "change_high": 0.002,
    }
    unpaired = {"paired_photos": 0, "loss_change": "", "change_low": "", "change_high": ""}
    rows = [ROW, ROW | {"turned": "batch_norm", "position": "stored"} | better, ROW | {"turned": "split"} | unpaired]
    lines = table(rows).splitlines()
    assert lines[2] == "| none |  | 2 of 184 | 98.91% (96.1% to 99.7%) | 98.92% |  |  |  | 0.0500 |  |"
    paired = "184 | 0 / 6 | 0.031 | 0.0500 | -0.0100 (-0.0300 to +0.0020)"
    assert lines[3] == f"| batch_norm | stored | 2 of 184 | 98.91% (96.1% to 99.7%) | 98.92% | {paired} |"
    assert lines[4].endswith("| 0 | 0 / 0 | 1 | 0.0500 |  |")
    assert {line.count("|") for line in lines} == {len(HEADINGS) + 1}
    write_csv(tmp_path / "table.csv", list(ROW), rows)
    assert table(read_csv(tmp_path / "table.csv", list(ROW))) == table(rows)
