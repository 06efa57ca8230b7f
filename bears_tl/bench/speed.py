"""Summary of a benchmark: medians, ratios per round, a table and a figure."""

import statistics

# The groups of contenders, in table order: title, unit, and whether higher is better.
GROUPS = {
    "body": ("The body alone: pixels to features", "photos/s", True),
    "bound": ("Upper bound: the best rate of any library divided by GFLOP per photo", "photos/s", True),
    "files": ("Photo files to features", "photos/s", True),
    "reading": ("Reading: photo files to pixels", "photos/s", True),
    "training": ("End to end: photos to a tested model", "s", False),
}


def summarize(measurements: list[dict], ours: list[dict], more_is_better: bool) -> dict:
    """Summarize one contender.

    Args:
        measurements: one per round: round, value, start_seconds (may be absent) and peak_rss_bytes.
        ours: measurements of our contender, for comparison.
        more_is_better: True if the value is photos per second, False if it is seconds.

    Returns:
        median, low and high of the values; ratios: how many times faster ours was in each round that has both
        measurements; ratio: their median, or None; medians of start_seconds and peak_rss_bytes.
    """
    values = [row["value"] for row in measurements]
    value_of_ours = {row["round"]: row["value"] for row in ours}
    pairs = [(value_of_ours[row["round"]], row["value"]) for row in measurements if row["round"] in value_of_ours]
    ratios = [our / value if more_is_better else value / our for our, value in pairs]
    summary = {"median": statistics.median(values), "low": min(values), "high": max(values)}
    summary |= {"ratios": ratios, "ratio": statistics.median(ratios) if ratios else None}
    for name in ("start_seconds", "peak_rss_bytes"):
        known = [row[name] for row in measurements if row.get(name) is not None]
        summary[name] = statistics.median(known) if known else None
    return summary


def table(report: dict) -> str:
    """Format a report as Markdown: machine, photos and command, then one table per group.

    Args:
        report: result of `benchmark.report`.
    """
    machine, photos = report["machine"], report["photos"]
    hardware = f"{_hardware(machine)}, {machine['memory_bytes'] / 2**30:.0f} GiB"
    lines = [
        f"Measured on {report['date']} on {hardware}, {', '.join(machine['gpus']) or 'no GPU'}: `{report['command']}`.",
        f"{report['rounds']} rounds; each contender runs once per round, in a separate process. Values are the median "
        "(lowest to highest); ratios are computed per round.",
        f"{photos['count']} photos; rates are measured on {photos['sample']} of them. Weights: "
        f"{report['checkpoint']['kind']}. Our engine here: {report['checkpoint'].get('engine', 'tensorflow')}. "
        f"{report['operations_per_photo'] / 1e9:.1f} GFLOP per photo.",
    ]
    lines += [f"**{report['notice']}**"] if report["notice"] else []
    for group, (title, unit, _) in GROUPS.items():
        rows = [row for row in report["contenders"].values() if row["group"] == group and row["summary"]]
        if rows:
            columns = [unit, "speedup of ours", "start-up, s", "peak memory, MB", "notes"]
            columns[1] = {"bound": "share reached by ours"}.get(group, columns[1])
            lines += ["", f"| {title} | {' | '.join(columns)} |", "| --- " * 6 + "|", *map(_row, rows)]
    lines.append("")
    lines += [f"- Skipped: {label} ({reason})." for label, reason in report["left_out"].items()]
    lines += [f"- Failed: {label} ({reason})." for label, reason in report["failed"].items()]
    lines += [f"- Not measured: {what}." for what in report["not_measured"]]
    return "\n".join(lines) + "\n"


def overview(reports: list[dict]) -> str:
    """Format one row per report, the newest first: what a machine reaches, and how many times faster ours is.

    Args:
        reports: results of `benchmark.report`, also those of earlier versions.
    """
    columns = (
        "machine", "date", "engine", "body, photos/s", "share of the bound", "`bears train`, s", "features cached, s",
        "the article's loop", "TensorFlow's tutorial", "memory, MB",
    )  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for report in sorted(reports, key=lambda report: report["date"], reverse=True):
        found, body = report["contenders"], report["checkpoint"]
        of = {name: row["summary"] or {} for name, row in found.items()}
        body_name, bound = f"ours_{body['precision']}", f"bound_{body['precision']}"
        share = of.get(bound, {}).get("ratio")
        cells = [
            _hardware(report["machine"]), report["date"], f"{body.get('engine', 'tensorflow')}, {body['precision']}",
            _number(of[body_name]["median"]), "" if share is None else f"{share:.0%}",
            *(_number(of[name]["median"]) if of.get(name) else "" for name in ("train_cold", "train_warm")),
            *(f"{of[name]['ratio']:.1f} times ours" if of.get(name) else "" for name in ("as_2019", "tutorial")),
            f"{of['train_cold']['peak_rss_bytes'] / 1e6:.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(report: dict):
    """Draw one bar per contender and one panel per group; whiskers span the lowest to the highest round."""
    # Here, because a child process inherits the peak memory of its parent
    from bears_tl.judging.plots import BLUE, GREY, ORANGE, finish, new_figure

    groups = {
        group: [row for row in report["contenders"].values() if row["group"] == group and row["summary"]]
        for group in GROUPS
    }
    groups["body"], groups["bound"] = groups["body"] + groups["bound"], []
    groups = {group: rows for group, rows in groups.items() if rows}
    heights = [0.9 + len(rows) for rows in groups.values()]
    size, ratios = (8.5, 0.36 * sum(heights) + 0.5), {"height_ratios": heights}
    drawn, axes = new_figure(len(groups), 1, figsize=size, gridspec_kw=ratios)
    for axis, (group, rows) in zip(axes.flat, groups.items(), strict=True):
        title, unit, more_is_better = GROUPS[group]
        places = range(len(rows))[::-1]
        medians = [row["summary"]["median"] for row in rows]
        whiskers = [
            [row["summary"]["median"] - row["summary"]["low"] for row in rows],
            [row["summary"]["high"] - row["summary"]["median"] for row in rows],
        ]
        colours = [BLUE if row["ours"] else ORANGE if row["group"] == "bound" else GREY for row in rows]
        axis.barh(places, medians, xerr=whiskers, color=colours, error_kw={"linewidth": 1, "capsize": 2})
        for place, row in zip(places, rows, strict=True):
            axis.annotate(
                f"{row['summary']['median']:.4g}", (row["summary"]["high"], place), (4, 0),
                textcoords="offset points", va="center", fontsize=8,
            )  # fmt: skip
        axis.set_yticks(places, [row["label"] for row in rows], fontsize=8)
        axis.set_title(f"{title}, {unit} ({'higher' if more_is_better else 'lower'} is better)", fontsize=9, loc="left")
        axis.tick_params(axis="x", labelsize=8)
        axis.margins(x=0.12)
    shown = [f"{row['label']} {row['summary']['median']:.4g}" for rows in groups.values() for row in rows]
    return finish(drawn, "", f"Bar chart of medians: {'; '.join(shown)}", report["notice"])


def _hardware(machine: dict) -> str:
    sets = f" ({', '.join(machine['accelerations'])})" if machine.get("accelerations") else ""
    return f"{machine['cores']} cores of {machine['processor']}{sets}"


def _row(row: dict) -> str:
    summary = row["summary"]
    spread = f"{_number(summary['median'])} ({_number(summary['low'])} to {_number(summary['high'])})"
    if summary["ratio"] is None:
        ratio = ""
    elif row["group"] == "bound":
        ratio = f"{summary['ratio']:.0%}"
    else:
        ratio = f"{summary['ratio']:.2f} ({min(summary['ratios']):.2f} to {max(summary['ratios']):.2f})"
    start = "" if summary["start_seconds"] is None else f"{summary['start_seconds']:.1f}"
    peak = "" if summary["peak_rss_bytes"] is None else f"{summary['peak_rss_bytes'] / 1e6:.0f}"
    label = f"**{row['label']}**" if row["ours"] else row["label"]
    return f"| {label} | {spread} | {ratio} | {start} | {peak} | {row['note']} |"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
