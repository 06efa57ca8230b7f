# %% [markdown]
# # 2. Augment: prepare photos for the network
#
# **Before you start:** run [01_fetch](01_fetch.ipynb) with the same `run`, or run `make train`.
#
# **You will learn** how a photo of any size becomes the input of the network, what augmentation changes, why it does
# not prevent caching, and how to correct wrong labels.
#
# Inception v3 takes pictures of 299 x 299 px with levels in [-1, 1]. We cut a square box out of the photo and resize
# it. The result is called a *view*:
#
# - The **center view** is the largest square in the middle. It is used for validation, test and prediction.
# - A **random view** is used for training, as in the article. Its box is smaller than the largest square by up to
#   `max_zoom`, lies anywhere in the photo, and is mirrored half of the time.
#
# A random view can also change brightness, contrast, colours and angle, or lose a rectangle. Each of these effects has
# a strength. By default all are off.

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
max_zoom = 0.2  # the box of a random view is smaller than the largest one by up to this share
brightness = 0.0  # random views are darker or brighter by up to this share; 0: off
contrast = 0.0  # random views have less or more contrast by up to this share; 0: off
saturation = 0.0  # random views are less or more colourful by up to this share; 0: off
hue = 0.0  # random views have their hue rotated by up to this share of the colour circle; 0: off
rotation_degrees = 0.0  # random views are rotated by up to this many degrees, either way; 0: off
erasing = 0.0  # half of the random views lose a rectangle of up to this share of the area; 0: off
train_views = 1  # random views per training photo; 0: train on the center view

# %%
import numpy as np

from bears_tl.judging import plots
from bears_tl.photos.image import read_image
from bears_tl.photos.views import CENTER, View, center_view, read_views, rising_strength
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.pipeline.suspects import suspects_first
from bears_tl.serving.cleaner import Cleaner

# %% [markdown]
# This notebook saves the settings of the views in the run, and notebook 05 trains with them. If the run already has
# settings, it keeps them, except for those that differ from the defaults above. So changing a value back to its default
# has no effect on this run: use a new `run` for that.

# %%
effects = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
effects |= {"rotation_degrees": rotation_degrees, "erasing": erasing}
current_run = Run.open_or_start(run, seed=seed, max_zoom=max_zoom, train_views=train_views, **effects)
current_run.keep_settings()

# %% [markdown]
# ## The center view

# %%
photo = artifacts.draw(current_run, current_run.table("photos.csv"), 1)[0]
path = artifacts.photo_folder(current_run) / photo["path"]
original = np.asarray(read_image(path))
center = read_views(path, [CENTER], photo["sha256"])[0]
height, width = original.shape[:2]
titles = [f"photo: {width} x {height} px", f"center view: {center.shape[1]} x {center.shape[0]} px"]
figure = plots.photo_grid([original, center], titles, columns=2, title="A photo and its center view", side_inches=2.6)

# %% [markdown]
# **What to see.** A wide photo keeps its full height and loses its sides. A tall photo loses its top and bottom. A bear
# at the very edge may be lost.

# %%
print(f"The center view shows {min(width, height) / max(width, height):.0%} of this photo.")

# %% [markdown]
# ## Random views

# %%
config = current_run.config
strengths = {effect: getattr(config, effect) for effect in effects}
views = [View(k, config.seed, config.max_zoom, **strengths) for k in range(6)]
pictures = read_views(path, views, photo["sha256"])
figure = plots.photo_grid(pictures, [f"view {view.k}" for view in views], title="Six random views of the same photo")

# %% [markdown]
# **What to see.** The boxes differ in size and place, and about half of all random views are mirrored. The class is the
# same in all of them, so the classifier learns to ignore these differences.
#
# A random view does not change from run to run. View *k* depends only on the seed, the photo's content, *k* and the
# strengths. So the features that the network computes for a view can be cached on disk and used again. We check that
# the order does not matter:

# %%
backwards = read_views(path, views[::-1], photo["sha256"])
assert np.array_equal(pictures, backwards[::-1])

# %% [markdown]
# ## Stronger augmentation
#
# A strength is the largest change that an effect may make. Each view draws its own change up to that limit. We show one
# effect per row, with its strength rising from left to right, in a view that the effect changes much. The last row
# combines all effects; its titles give the share of the largest strengths.

# %%
largest = {"brightness": 0.5, "contrast": 0.5, "saturation": 1.0, "hue": 0.2, "rotation_degrees": 45.0, "erasing": 0.4}
rows = {effect: {effect: strength} for effect, strength in largest.items()} | {"all": largest}
shares = [0, 0.2, 0.4, 0.6, 0.8, 1]
pictures, titles = [], []
for name, row in rows.items():
    pictures += rising_strength(path, photo["sha256"], row, shares, config.seed)
    titles += [f"{name} {share * largest.get(name, 1):.2g}" for share in shares]
figure = plots.photo_grid(pictures, titles, title="Each effect at rising strength")

# %% [markdown]
# **What to see.** Each row starts with the plain view and changes in one direction, because a higher strength only
# scales the same random draw. Rotated photos have no black corners: the photo is mirrored beyond its border. The erased
# rectangle is filled with noise, and half of all views have none.
#
# Check in each row whether you still recognize the animal without hesitation. If you do not, the strength is too high:
# the network would train on pictures that it never has to classify. If colour tells the classes apart, as with white
# and brown bears, high `saturation` and `hue` remove useful information.

# %% [markdown]
# ## The levels that the network gets
#
# The network was trained on levels in [-1, 1]. Feeding it levels in [0, 255] or [0, 1] is a common mistake, and no
# error message reports it. So we check the range here.

# %%
levels = center_view(original)
print(levels.shape, levels.dtype, f"from {levels.min():.3f} to {levels.max():.3f}")
assert levels.shape == (299, 299, 3) and levels.dtype == np.float32
assert -1 <= levels.min() <= levels.max() <= 1
assert np.array_equal(levels, center_view(original / 255)), "uint8 and float photos give the same view"

# %% [markdown]
# ## Correct wrong labels
#
# Augmentation cannot repair a wrong label: a panda in the folder of polar bears is learned as a polar bear. The next
# cell shows a dozen photos with their classes: first those of `labels.csv`, which notebook 06 writes, the most suspect
# one first; then others at random. If a class is wrong, choose the right one, write a few words about why, and press
# *Save corrections*.
#
# Nothing is written before you press the button, and no photo is moved or changed. A correction is one line in the
# table that the setting `edits` names (`data/edits.csv` by default). Run notebook 01 again to apply the table. It
# identifies photos by their content, so a correction still applies after a file is renamed.

# %%
Cleaner(current_run, suspects_first(current_run, 12))

# %% [markdown]
# **What to see.** These are whole photos, because you need to see a bear at the edge as well. In the painted sample all
# labels are right: choose a wrong one, save it, and press *Undo*. A line below a suspect says what speaks against its
# label; it may be right all the same. To look through more photos, raise the 12: `Cleaner` shows twelve per page.
#
# **What we learned.** Every photo, whatever its size or format, becomes the same kind of array. Training and prediction
# use the same code for it. Random views are repeatable, so their features can be cached.
#
# Next: [03_split](03_split.ipynb) divides the photos into train, val and test.
