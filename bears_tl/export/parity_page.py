"""parity.md: how far the formats of an export are from the run's own answers, their sizes and speeds."""

from pathlib import Path

from bears_tl.export import golden
from bears_tl.export.formats import FORMATS
from bears_tl.export.parity import Comparison
from bears_tl.hardware import cores, processor, versions_of

_HEAD = """\
# Do all formats answer alike?

Each format was asked in a clean process that does not import bears_tl, and the golden photos a second time in another
one. Its answers are compared with those of `bears predict` with the body in float32. {own}

A difference is the largest of all photos and classes. *Known* is the answer to "is the photo like the training photos?"
"""
_TEST_NOTE = """\
SavedModel from bytes ignores ICC profiles, because TensorFlow does; test photos may have one. So its difference on test
photos is stated, and not bounded.
"""
_GOLDEN_NOTE = """\
Photos per second: one photo per call, from pixels, or from files in the two rows that read photos; {cores} cores of
{processor}, other work on the machine included. Versions: {versions}.

## By golden photo
The two formats that read photos themselves. TensorFlow ignores ICC profiles, such as Display P3: this difference is
stated, and not bounded.
"""


def make(folder: Path, found: list[Comparison], left_out: list[str], own_difference: float) -> str:
    """Write the page as Markdown.

    Args:
        folder: the export, for the sizes.
        found: one comparison per format.
        left_out: what was not exported and why, one line each.
        own_difference: how far the run's own answers, in its own precision, are from those in float32.
    """
    own = f"The run's own precision changes a probability by {own_difference:.1g} at most." if own_difference else ""
    parts = [_HEAD.format(own=own).rstrip() + "\n"]
    for title, part in ("Golden photos (painted)", "golden"), ("Test photos of the run", "tests"):
        rows = [(one, getattr(one, part)) for one in found if getattr(one, part)]
        if rows:
            parts.append(f"## {title}: {rows[0][1]['count']}\n" + _table(folder, rows))
    parts.append(_TEST_NOTE)
    versions = versions_of("tensorflow", "ai-edge-litert", "openvino", "onnxruntime", "pillow", "numpy")
    versions = ", ".join(" ".join(pair) for pair in versions.items())
    parts.append(_GOLDEN_NOTE.format(cores=cores(), processor=processor(), versions=versions) + _by_photo(found))
    if left_out:
        parts.append("## Left out\n" + "".join(f"- {line}\n" for line in left_out))
    return "\n".join(parts)


def size_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in and below a folder."""
    return sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size


def _table(folder: Path, rows: list[tuple[Comparison, dict]]) -> str:
    lines = [
        "| format | MB | photos/s | largest difference of a probability | of strangeness | same class | same known "
        "| same bits twice | bound |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for one, part in rows:
        format = FORMATS[one.name]
        bound = f"{format.most:g}" if format.most is not None else f"same class {format.same_class:.0%} (test photos)"
        cells = [
            format.label,
            f"{size_bytes(folder / format.file) / 1e6:.1f}",
            f"{one.photos_per_second:.1f}",
            f"{part['probability']:.2g}",
            f"{part['strangeness']:.2g}",
            f"{part['same_class']:.1%}",
            f"{part['same_known']:.1%}",
            "yes" if one.same_bits else "no",
            bound,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_photo(found: list[Comparison]) -> str:
    readers = [one for one in found if FORMATS[one.name].reads_photos]
    lines = [
        f"| photo | {' | '.join(FORMATS[one.name].label for one in readers)} |",
        "| --- |" + " ---: |" * len(readers),
    ]
    for photo in readers[0].by_photo:
        shown = f"{photo} (*)" if photo in golden.BEYOND_TENSORFLOW else photo
        lines.append(f"| {shown} | {' | '.join(f'{one.by_photo[photo]:.2g}' for one in readers)} |")
    return "\n".join(lines) + "\n\n(*) not bounded for the SavedModel.\n"
