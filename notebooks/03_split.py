# %% [markdown]
# # 3. Split: which photos are for what
#
# - **train**: the head learns from these;
# - **val** (validation): they decide when to stop;
# - **test**: they are looked at once, at the end, and give the figure that we report.
#
# A photo's place is decided by its content: within each class the photos are ranked by a hash of their bytes.
# Renaming or moving files moves no photo to another split, and each class has exactly its share in each.

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
from bears_tl import walk
from bears_tl.judging import plots
from bears_tl.photos.splits import count_splits, split_photos
from bears_tl.run import Run

fractions = {"test_fraction": test_fraction, "val_fraction": val_fraction}
current_run = Run.open_or_start(run, seed=seed, **fractions)
rows = walk.split(current_run)
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
    assert abs(count["test"] - test_fraction * total) <= 1 and abs(count["val"] - val_fraction * total) <= 1

# %% [markdown]
# ## Names and places do not matter
#
# We rename every photo and shuffle the list: each photo stays in its split, because only its content counts.

# %%
renamed = [row | {"path": f"renamed/{number}.jpg"} for number, row in enumerate(reversed(rows))]
split_of = {row["sha256"]: row["split"] for row in rows}
again = split_photos(renamed, **fractions, seed=seed)
assert all(row["split"] == split_of[row["sha256"]] for row in again)

# %% [markdown]
# ## A few photos more
#
# We take 10 photos away, split, and add them again: only photos at the borders between two splits change sides.

# %%
fewer = split_photos(rows[10:], **fractions, seed=seed)
moved = sum(row["split"] != split_of[row["sha256"]] for row in fewer)
print(f"Adding 10 photos to {len(fewer)} moved {moved} of them to another split.")

# %% [markdown]
# **What we learned.** The split is exact, repeatable and stable: `splits.csv` has it for every photo. On to
# `04_restore`.
