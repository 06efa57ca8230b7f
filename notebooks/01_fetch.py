# %% [markdown]
# # 1. Fetch: get the photos and look at every file
#
# A classifier is as good as its photos. Here we bring a set of labelled photos to this machine, open **every** file
# once, and look at what we have. The class of a photo is the name of the folder it lies in.
#
# By default the photos are a *sample*: three kinds of bears that this project paints itself, so that nothing has to
# be fetched. Set `photos` to a folder of class folders, an archive, a URL or a Google Drive id to use others. The
# article's 919 photos are `1fGyktZ4mZhMOXvv4Tq5q-YI2QC73VE-n`.

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
run = "runs/sample"  # the folder that everything is written to
photos = "sample"  # sample, a folder of class folders, an archive, a URL or a Google Drive id
max_files = 1_000_000  # an archive with more files and folders is refused
max_bytes = 200_000_000_000  # an archive that holds more bytes is refused
min_side_px = 64  # a photo with a shorter side is set aside
allow_animated = False  # take the first frame of animated files instead of setting them aside
edits = "data/edits.csv"  # label corrections, applied at intake when there is such a file
seed = 0  # every random choice follows from it

# %%
from bears_tl.judging import plots
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

limits = {"max_files": max_files, "max_bytes": max_bytes, "min_side_px": min_side_px}
settings = {"photos": photos, "allow_animated": allow_animated, "edits": edits, "seed": seed}
current_run = Run.open_or_start(run, **settings, **limits)
folder = stages.fetch(current_run)
folder

# %% [markdown]
# ## A verdict on every file
#
# Each file is opened and fully decoded. It is judged by its content, not by its name: a `.jpg` may hold a PNG or a
# web page. A file is either good (`photos.csv`) or set aside with a reason (`quarantine.csv`). Nothing is deleted,
# moved or swapped for another.

# %%
taken = stages.intake(current_run)
print(f"{len(taken.photos)} photos are good, {len(taken.quarantined)} files are set aside.")
for class_name, count in taken.per_class().items():
    print(f"{class_name:>12}: {count}")
for row in taken.quarantined[:20]:
    print(f"{row['path']}: {row['reason']} ({row['detail']})")

# %%
assert len(taken.per_class()) >= 2
assert len({photo["sha256"] for photo in taken.photos}) == len(taken.photos), "the same photo twice"

# %% [markdown]
# A good photo also gets a `group`: photos that are resized, recompressed, mirrored, slightly cropped, brightened or
# grey copies of one another share one. `03_split` keeps each group together.

# %%
for group in taken.near_duplicates():
    print("near-duplicates:", ", ".join(photo["path"] for photo in group))
print(f"{len(taken.near_duplicates())} groups of more than one photo")

# %% [markdown]
# ## Some photos of each class

# %%
chosen = []
for class_name in taken.per_class():
    members = [photo for photo in taken.photos if photo["class_name"] == class_name]
    chosen += artifacts.draw(current_run, members, 5)
images = artifacts.pixels(current_run, chosen)
figure = plots.photo_grid(images, [photo["class_name"] for photo in chosen], columns=5)

# %% [markdown]
# **What to see.** You should be able to name the class of each photo at a glance. If you cannot, the labels or the
# photos need work before any training does. Look at the backgrounds as well: when one class always stands in the
# snow, a classifier may learn snow.

# %%
sizes = [(int(photo["width"]), int(photo["height"])) for photo in taken.photos]
print("Narrowest and widest, px:", min(width for width, _ in sizes), max(width for width, _ in sizes))
print("Formats:", sorted({photo["format"] for photo in taken.photos}))
print("Modes:", sorted({photo["mode"] for photo in taken.photos}))

# %% [markdown]
# **What we learned.** We know every file by its content hash, and no bad file can surprise a later step. On to
# `02_augment`.
