# %% [markdown]
# # 3. Split: divide the photos into train, val and test
#
# **Before you start:** run [01_fetch](01_fetch.ipynb) with the same `run`, or run `make train`.
#
# **You will learn** how to divide photos so that the test result is honest: the same shares in every class, and no
# copies of training photos in the test.
#
# - **train**: the last layer, the *head*, learns from these photos (notebook 05).
# - **val** (validation): these photos decide when training stops.
# - **test**: these photos are used once, at the end, for the accuracy that we report.
#
# The content of a photo decides its split. Within each class, the photos are sorted by a hash of their content. The
# first ones are for the test, the last ones for validation, and the rest for training. Near-duplicates always go into
# the same split.

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
run = "runs/sample"  # the folder that 01_fetch wrote to
seed = 0  # seed of every random choice
test_fraction = 0.2  # share of each class kept for the test
val_fraction = 0.1  # share of each class kept for validation, which decides when to stop
split = "auto"  # content: divide by content; given: keep the folder's train, val and test; auto: given if there are any
near_duplicates = "group"  # group: keep near-duplicates in one split; ignore: divide them too, which inflates accuracy

# %%
import collections

import numpy as np
from IPython.display import Markdown

from bears_tl.judging import plots
from bears_tl.photos.image import read_image
from bears_tl.photos.splits import count_moved, count_splits, has_exact_shares, keeps_groups_together, split_photos
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run
from bears_tl.training.leakage import compare_splits, first_of_each_class, near_copy

# %%
settings = {"split": split, "near_duplicates": near_duplicates, "seed": seed}
current_run = Run.open_or_start(run, test_fraction=test_fraction, val_fraction=val_fraction, **settings)
rows = stages.split(current_run)
for note in current_run.facts("split")["notes"]:
    print(f"note: {note}")
rows[:2]

# %%
counts = count_splits(rows)
figure = plots.count_bars(counts)

# %% [markdown]
# **What to see.** Every class has the same shares. The article drew 20 % for the test from all photos at once, so a
# class could be rare in the test by chance. It also had no validation photos to decide when to stop. More than 30
# classes are drawn as areas, the largest class first.
#
# Shares are exact to the nearest photo, or to the nearest group of near-duplicates. A folder that already has train,
# val and test folders keeps its own split, with its own shares.

# %%
config = current_run.config
fractions = {"test_fraction": config.test_fraction, "val_fraction": config.val_fraction}
for class_name, count in counts.items():
    total = sum(count.values())
    print(f"{class_name:>12}: " + ", ".join(f"{name} {n} ({n / total:.0%})" for name, n in count.items()))
source = current_run.facts("split")["source"]
assert source != "content" or has_exact_shares(rows, **fractions)

# %% [markdown]
# ## Near-duplicates stay together
#
# Notebook 01 gave each photo a `group`. All photos of a group are in the same split. So no test photo was seen in
# training in another size or crop.

# %%
sizes = collections.Counter(row["group"] for row in rows)
copies = [row for row in rows if sizes[row["group"]] > 1]
for row in copies[:20]:
    print(row["group"], row["split"], row["path"])
print(f"{len(copies)} of {len(rows)} photos have near-duplicates.")
assert source == "given" or keeps_groups_together(rows)

# %% [markdown]
# ## How much a leaky split inflates accuracy
#
# Photos collected from the web are full of copies. We imitate this and add a copy of each photo: slightly cropped,
# slightly brighter, saved at low quality.

# %%
original = read_image(artifacts.photo_folder(current_run) / rows[0]["path"])
titles = ["photo", "near-copy"]
figure = plots.photo_grid([original, near_copy(original)], titles, 2, "A photo and its near-copy", side_inches=2.6)

# %% [markdown]
# **What to see.** The two are hard to tell apart. Yet their files have different bytes, so a search for identical files
# does not find such copies.
#
# We train two classifiers on thumbnails. The *leaky* split treats each picture on its own, so a photo and its copy may
# fall into different splits. The *clean* split keeps them together. Here the head gets 24 x 24 px thumbnails; the
# network arrives in notebook 04.

# %%
few = first_of_each_class(rows, 500)  # enough for the comparison, also where there are many more photos
found = compare_splits(artifacts.photo_folder(current_run), few, config, seeds=range(5))
for row in found:
    print(f"seed {row['seed']}: leaky split {row['leaky']:.1%}, clean split {row['clean']:.1%}")

# %%
leaky = np.mean([row["leaky"] for row in found])
clean = np.mean([row["clean"] for row in found])
Markdown(
    f"On average, the leaky split reports a test accuracy of {leaky:.1%} and the clean split {clean:.1%}. "
    f"The leak changes the result by {100 * (leaky - clean):+.1f} points."
)

# %% [markdown]
# The head is no better with the leaky split. Its test contains copies of photos from training, so it measures memory.
#
# ## Names and order do not matter
#
# We rename every photo and reverse the list. Each photo stays in its split, because only its content counts.

# %%
by_content = split_photos(rows, **fractions, seed=config.seed)
renamed = [row | {"path": f"renamed/{number}.jpg"} for number, row in enumerate(reversed(rows))]
assert count_moved(by_content, split_photos(renamed, **fractions, seed=config.seed)) == 0

# %% [markdown]
# ## Adding photos moves few others
#
# A growing collection should keep its test photos. We add 10 invented photos; the split needs only their hashes. Only
# photos near the border between two splits can move.

# %%
more = [row | {"sha256": row["sha256"][::-1], "group": row["sha256"][::-1]} for row in rows[:10]]
moved = count_moved(by_content, split_photos([*rows, *more], **fractions, seed=config.seed))
Markdown(f"Adding {len(more)} photos to {len(rows)} moved {moved} of them to another split.")

# %% [markdown]
# **What we learned.** The split is exact in each class, repeatable, stable when photos are added, and free of leaks
# through near-duplicates. `splits.csv` lists every photo with its split.
#
# Next: [04_restore](04_restore.ipynb) loads the network.
