"""What each fault of 2019 costs: the rows of `article.switches.compare` as a Markdown table."""

HEADINGS = [
    "turned to good practice", "position", "test photos wrong", "accuracy, 95 % interval", "as 2019 would print it",
    "paired photos", "right as in 2019 / turned only", "p", "test loss, nats", "its change (lowest to highest)",
]  # fmt: skip
CHANGE = ("loss_change", "change_low", "change_high")  # mean, lowest and highest seed
READING = """\
*none* is the procedure as it was; in each other row one switch is turned, in *all* every one. Each seed is another
split. *p* is McNemar's exact test on the paired photos that just one of the two gets right, of that row by itself: of
eight rows that change nothing, one may well get below 0.05. A photo may be tested with several seeds, which makes
intervals and *p* a little too sure. *mean* changes no answer, only the figure that is printed of the answers. The loss
is the cross-entropy of a test photo, 0 for one that is surely right; its change is a seed's mean over the paired
photos, turned less 2019, then the mean, the lowest and the highest of the seeds: below 0 the turned one is better.
"""


def table(rows: list[dict]) -> str:
    """Write the rows as a Markdown table; their values may be those of a CSV file, strings."""
    lines = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}"]
    for row in rows:
        share, low, high, printed, p_value = (
            float(row[name]) for name in ("accuracy", "low", "high", "printed", "p_value")
        )
        is_article = row["turned"] == "none"
        change = [] if row["loss_change"] == "" else [float(row[name]) for name in CHANGE]
        cells = [
            row["turned"],
            row["position"],
            f"{row['errors']} of {row['photos']}",
            f"{share:.2%} ({low:.1%} to {high:.1%})",
            f"{printed:.2%}",
            "" if is_article else f"{row['paired_photos']}",
            "" if is_article else f"{row['only_article_right']} / {row['only_turned_right']}",
            "" if is_article else f"{p_value:.2g}",
            f"{float(row['loss']):.4f}",
            "" if is_article or not change else "{:+.4f} ({:+.4f} to {:+.4f})".format(*change),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
