# %% [markdown]
# # 1. Fetch: get the photos and check every file
#
# **Before you start:** this is the first notebook, so nothing needs to run before it. Run its cells from top to bottom.
# `make train` runs all notebooks from 01 to 07 for you.
#
# **You will learn** how labelled photos get onto this machine, which files are unusable and why, and what the photos
# of each class look like.
#
# The name of a photo's folder is its class. By default the photos are a *sample*: three kinds of bears that this
# project paints itself, so no download is needed. To use other photos, set `photos` to an archive, a URL, a Google
# Drive id, or a folder that holds one folder per class. Set `run` to a new folder as well, such as `runs/birds`, and
# use that `run` in all later notebooks: a run cannot change its photos. The 919 photos of the 2019 blog post "Doing ML,
# part 3: CNN", which these notebooks redo, have the Google Drive id `1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n`.

# %% [markdown]
# *Setup for Colab and Kaggle. Elsewhere this only changes to the repository root.*

# %%
import os
import subprocess
import sys

from IPython import get_ipython

is_hosted = "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ
if os.path.basename(os.getcwd()) == "notebooks":
    os.chdir("..")
elif is_hosted and not os.path.isfile("bears_tl/cli.py"):
    repository_url = "https://github.com/OWNER/bears_tl"  # from pyproject.toml
    clone = ["git", "clone", "-q", "--depth", "1", "--", repository_url, "bears_tl"]
    if not os.path.isdir("bears_tl/notebooks") and subprocess.run(clone).returncode:
        raise RuntimeError(f"git could not clone {repository_url!r}: check the address, then run this cell again")
    os.chdir("bears_tl")
    get_ipython().run_line_magic("pip", "install -q --no-deps .")
    from bears_tl.doctor.requirements import lacking

    if lacking():  # what is there stays: replacing a package under a running kernel breaks it
        get_ipython().run_line_magic("pip", f"install -q {' '.join(lacking())}")
    if lacking():
        os.chdir("..")
        raise RuntimeError(f"pip could not install {' '.join(lacking())} (see above): run this cell again")

# %% tags=["parameters"]
run = "runs/sample"  # folder that the run writes everything to
photos = "sample"  # sample, a folder of class folders, an archive, a URL or a Google Drive id
max_files = 1_000_000  # refuse an archive with more files and folders than this
max_bytes = 200_000_000_000  # refuse an archive that unpacks to more bytes than this
min_side_px = 64  # set aside photos whose shorter side has fewer pixels than this
max_megapixels = 250  # set aside photos with more megapixels than this; a JPEG counts 1/64, unless it is progressive
allow_animated = False  # use the first frame of animated files instead of setting them aside
edits = "data/edits.csv"  # table of label corrections, applied at intake; only the default one may be missing
seed = 0  # seed of every random choice

# %%
from IPython.display import Markdown

from bears_tl.judging import plots
from bears_tl.judging.names import visible
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

limits = {"max_files": max_files, "max_bytes": max_bytes, "min_side_px": min_side_px, "max_megapixels": max_megapixels}
settings = {"photos": photos, "allow_animated": allow_animated, "edits": edits, "seed": seed}
current_run = Run.open_or_start(run, **settings, **limits)
stages.fetch(current_run)

# %% [markdown]
# ## Check every file
#
# We open and decode each file completely. Its content counts, not its name: a `.jpg` may hold a PNG or a web page.
# Good photos are listed in `photos.csv`. The others are set aside and listed in `quarantine.csv` with the reason. No
# file is deleted, moved or replaced.

# %%
taken = stages.intake(current_run)
for note in taken.notes():
    print(f"note: {note}")
for row in taken.quarantined[:20]:
    print(f"{row['path']}: {row['reason']} ({row['detail']})")
for class_name, count in taken.per_class().items():
    print(f"{class_name:>12}: {count} good photos")

# %%
assert len(taken.per_class()) >= 2
assert len({photo["sha256"] for photo in taken.photos}) == len(taken.photos), "the same photo twice"
Markdown(
    f"{len(taken.photos)} photos are good, and {len(taken.quarantined)} files are set aside. No photo appears twice."
)

# %% [markdown]
# ## Find near-duplicates
#
# Two files may show the same picture: resized, recompressed, mirrored, slightly cropped, brightened or in grey. Such
# photos get the same `group`. Notebook 03 uses the groups to keep near-duplicates in the same split.

# %%
groups = taken.near_duplicates()
for group in groups[:10]:
    print("near-duplicates:", ", ".join(photo["path"] for photo in group))
print(f"{len(groups)} groups have more than one photo.")

# %% [markdown]
# ## Look at photos of each class
#
# Of many classes, ten random ones are shown.

# %%
shown = []
for class_name in sorted(artifacts.draw(current_run, list(taken.per_class()), 10)):
    members = [photo for photo in taken.photos if photo["class_name"] == class_name]
    shown += artifacts.draw(current_run, members, 5)
titles = [visible(photo["class_name"]) for photo in shown]
figure = plots.photo_grid(artifacts.pixels(current_run, shown), titles, columns=5, title="Random photos of each class")

# %% [markdown]
# **What to see.** You should be able to name the class of each photo at a glance. If you cannot, improve the labels or
# the photos before you train. Look at the backgrounds as well. If one class always stands in snow, a classifier may
# learn to recognize snow.

# %%
widths = [int(photo["width"]) for photo in taken.photos]
print(f"Widths: {min(widths)} to {max(widths)} px")
print("Formats:", sorted({photo["format"] for photo in taken.photos}))
print("Colour modes:", sorted({photo["mode"] for photo in taken.photos}))

# %% [markdown]
# **What we learned.** Every file was opened once, so no damaged file can stop a later step. Each photo is identified by
# the hash of its content, and near-duplicates are known.
#
# Next: [02_augment](02_augment.ipynb) prepares the photos for the network.
