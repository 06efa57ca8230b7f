# %% [markdown]
# # 3. Split: which photos are for what
#
# - **train**: the head learns from these;
# - **val** (validation): they decide when to stop;
# - **test**: they are looked at once, at the end, and give the figure that we report.
#
# A photo's place is decided by its content: within each class the photos are ranked by a hash of their bytes.
# Renaming or moving files moves no photo to another split, and each class has exactly its share in each.
# Near-duplicates, the same photo resized, cropped or mirrored, always lie in one split together.

# %% [markdown]
# *The next cell readies Colab; elsewhere it only steps from `notebooks/` to the root of the repository.*

# %%
import os
import sys

if "google.colab" in sys.modules and not os.path.isdir("bears_tl"):
    address = input("Address of the bears_tl repository: ")
    os.system(f"git clone -q {address} bears_tl && pip install -q ./bears_tl")
    os.chdir("bears_tl")
elif os.path.basename(os.getcwd()) == "notebooks":
    os.chdir("..")

# %% tags=["parameters"]
run = "runs/sample"  # the folder that 01_fetch wrote to
seed = 0  # another seed, another split
test_fraction = 0.2  # share of each class kept for the test
val_fraction = 0.1  # share of each class kept for early stopping

# %%
import collections

from bears_tl.judging import plots
from bears_tl.photos.splits import count_splits, split_photos
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

current_run = Run.open_or_start(run, seed=seed, test_fraction=test_fraction, val_fraction=val_fraction)
config = current_run.config
fractions = {"test_fraction": config.test_fraction, "val_fraction": config.val_fraction}
rows = stages.split(current_run)
rows[:2]

# %%
counts = count_splits(rows)
figure = plots.count_bars(counts)

# %% [markdown]
# **What to see.** The same shares in every class. The article drew 80/20 from all photos at once, so that a class
# could by chance be rare in the test, and it had no validation set to stop by.

# %%
for class_name, count in counts.items():
    total = sum(count.values())
    print(f"{class_name:>12}: " + ", ".join(f"{split} {n} ({n / total:.0%})" for split, n in count.items()))
    # to the nearest photo, or to the nearest group of near-duplicates; a group in two classes goes with one of them
    groups = collections.Counter(row["group"] for row in rows if row["class_name"] == class_name)
    mixed = {row["group"] for row in rows if row["class_name"] != class_name}
    room = max(groups.values()) + sum(size for group, size in groups.items() if group in mixed)
    shares = {"test": config.test_fraction, "val": config.val_fraction}
    assert all(abs(count[split] - share * total) <= room for split, share in shares.items())

# %% [markdown]
# ## Near-duplicates stay together
#
# `01_fetch` gave each photo a `group`. No group lies in two splits, so that no test photo was seen in training in
# another size or cut.

# %%
sizes = collections.Counter(row["group"] for row in rows)
for row in [row for row in rows if sizes[row["group"]] > 1][:20]:
    print(row["group"], row["split"], row["path"])
print(sum(size > 1 for size in sizes.values()), "groups of more than one photo")
assert len({(row["group"], row["split"]) for row in rows}) == len(sizes)

# %% [markdown]
# ## What a leak would pretend
#
# Scraped photos are full of copies. We add one to each photo: a little cropped, a little brighter, saved in poor
# quality. Then we train our head twice: on a split that takes each picture by itself, and on one that keeps the two
# together. The head sees thumbnails here, for the network comes only in `04_restore`.

# %%
from bears_tl.photos.image import read_image
from bears_tl.training.leakage import compare_splits, near_copy

original = read_image(artifacts.photo_folder(current_run) / rows[0]["path"])
figure = plots.photo_grid([original, near_copy(original)], ["a photo", "a copy of it"], columns=2)

# %% [markdown]
# **What to see.** Hardly a difference. Yet the bytes of the two files are not the same, so that looking for equal
# files does not find them.

# %%
few = [row for name in counts for row in [row for row in rows if row["class_name"] == name][:500]]  # of a large set
found = compare_splits(artifacts.photo_folder(current_run), few, config, seeds=range(5))
for row in found:
    print(f"seed {row['seed']}: leaky split {row['leaky']:.1%}, clean split {row['clean']:.1%}")
leaky, clean = (sum(row[name] for row in found) / len(found) for name in ("leaky", "clean"))
print(f"The leak pretends {leaky - clean:+.1%} of test accuracy: {leaky:.1%} instead of {clean:.1%}.")

# %% [markdown]
# Nothing about the head is better in the first column: it was asked about photos that it had seen.
#
# ## Names and places do not matter
#
# We rename every photo and shuffle the list: each photo stays in its split, because only its content counts.

# %%
renamed = [row | {"path": f"renamed/{number}.jpg"} for number, row in enumerate(reversed(rows))]
split_of = {row["sha256"]: row["split"] for row in rows}
again = split_photos(renamed, **fractions, seed=config.seed)
assert all(row["split"] == split_of[row["sha256"]] for row in again)

# %% [markdown]
# ## A few photos more
#
# We add 10 photos (made up here: a split looks at hashes alone): only photos at the borders between two splits change
# sides.

# %%
more = [row | {"sha256": row["sha256"][::-1], "group": row["sha256"][::-1]} for row in rows[:10]]
after = {row["sha256"]: row["split"] for row in split_photos([*rows, *more], **fractions, seed=config.seed)}
moved = sum(after[sha256] != split for sha256, split in split_of.items())
print(f"Adding {len(more)} photos to {len(rows)} moved {moved} of them to another split.")

# %% [markdown]
# **What we learned.** The split is exact, repeatable, stable and without leaks: `splits.csv` has it for every photo.
# On to `04_restore`.
