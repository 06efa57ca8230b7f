# %% [markdown]
# # 2. Augment: what the network sees of a photo
#
# Inception v3 takes pictures of 299 x 299 px with levels in [-1, 1]. Photos have any size and shape, so each is seen
# through a *view*: a square box of the photo, resized.
#
# - The **center view** is the largest square in the middle. It is used for validation, test and prediction.
# - A **random view** is what the article trained on: the largest square, shrunk by up to `max_zoom`, put anywhere,
#   mirrored half of the time.
#
# On top of that, a random view may differ in brightness, contrast, colours and angle, and lack a part: each effect has
# a strength, and all are off unless you set them.

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
seed = 0  # every random choice follows from it
max_zoom = 0.2  # a random view shows a box up to this much smaller than the largest one
brightness = 0.0  # random views are up to this share darker or brighter; 0: off
contrast = 0.0  # random views have up to this share less or more contrast; 0: off
saturation = 0.0  # random views are up to this share less or more colourful; 0: off
hue = 0.0  # hues of random views are turned by up to this share of the circle; 0: off
rotation_degrees = 0.0  # random views are turned by up to this, either way; 0: off
erasing = 0.0  # half of the random views lack a rectangle of up to this share; 0: off
train_views = 1  # random views of each training photo; 0: train on the center view

# %%
import numpy as np

from bears_tl.judging import plots
from bears_tl.photos.image import read_image
from bears_tl.photos.views import CENTER, IMAGE_SIZE_PX, View, center_view, read_views
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving.cleaner import Cleaner

# %% [markdown]
# The settings of views are made here: they are kept in the run, and `05_train` goes by them. A run that has settings
# already keeps them; only what you change above takes their place.

# %%
strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
strengths |= {"rotation_degrees": rotation_degrees, "erasing": erasing}
current_run = Run.open_or_start(run, seed=seed, max_zoom=max_zoom, train_views=train_views, **strengths)
photo = artifacts.draw(current_run, current_run.table("photos.csv"), 1)[0]
current_run.keep_settings()
config = current_run.config

# %%
path = artifacts.photo_folder(current_run) / photo["path"]
original = np.asarray(read_image(path))
center = read_views(path, [CENTER], photo["sha256"])[0]
titles = [f"before: {original.shape[1]} x {original.shape[0]} px", f"after: {IMAGE_SIZE_PX} x {IMAGE_SIZE_PX} px"]
figure = plots.photo_grid([original, center], titles, columns=2)

# %% [markdown]
# **What to see.** The photo before and after: the center view keeps the height of a wide photo and cuts its sides. A
# bear at the very edge is lost; that is the price of a fixed square.
#
# ## The same photo in six random views

# %%
strengths = {effect: getattr(config, effect) for effect in strengths}
views = [View(k, config.seed, config.max_zoom, **strengths) for k in range(6)]
pictures = read_views(path, views, photo["sha256"])
figure = plots.photo_grid(pictures, [f"view {view.k}" for view in views])

# %% [markdown]
# **What to see.** Six boxes of different size and place, some mirrored. A bear is a bear in all of them, and that is
# what the classifier learns from them.
#
# View *k* of a photo is random, but not different each time: it follows from the seed, the photo's content, *k* and the
# strengths alone. So what the network computes for a view can be kept on disk and used again. Augmentation and the
# feature cache go together.

# %%
again = read_views(path, list(reversed(views)), photo["sha256"])[::-1]
assert all(np.array_equal(one, two) for one, two in zip(pictures, again, strict=True))

# %% [markdown]
# ## Richer views
#
# A strength is the most that an effect may do; how much of it a view gets is drawn. Here is one effect a row, at rising
# strength: of eight views, the one that it changes most. The last row has all of them at once, at rising shares of the
# strongest above.

# %%
most = {"brightness": 0.5, "contrast": 0.5, "saturation": 1.0, "hue": 0.2, "rotation_degrees": 45.0, "erasing": 0.4}
pictures, titles = [], []
for name, row in [*((effect, {effect: strength}) for effect, strength in most.items()), ("all", most)]:
    pairs = [read_views(path, [View(k, config.seed), View(k, config.seed, **row)], photo["sha256"]) for k in range(8)]
    k = int(np.argmax([abs(np.subtract(*pair, dtype=float)).mean() for pair in pairs]))
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        view = View(k, config.seed, **{effect: share * strength for effect, strength in row.items()})
        pictures += read_views(path, [view], photo["sha256"])
        titles.append(f"{name} {share * row.get(name, 1):.2g}")
figure = plots.photo_grid(pictures, titles)

# %% [markdown]
# **What to see.** Each row begins with the plain view and goes one way, since a strength only stretches what was drawn:
# box, direction and place of the rectangle stay. Turned photos have no black corners: the photo goes on mirrored beyond
# its border. The rectangle is noise, and half of all views have none.
#
# Ask of each row whether you would still name the animal without hesitation. Where you would not, the strength teaches
# the network something that no photo will ask of it; and where colour is what tells the classes apart, as in white and
# brown bears, much of `saturation` and `hue` takes it away.

# %% [markdown]
# ## The levels that the network gets
#
# Feeding levels in [0, 255] or [0, 1] to a network that was trained on [-1, 1] is a classic and silent mistake.

# %%
levels = center_view(original)
print(levels.shape, levels.dtype, f"from {levels.min():.3f} to {levels.max():.3f}")
assert levels.shape == (299, 299, 3) and levels.dtype == np.float32
assert -1 <= levels.min() <= levels.max() <= 1
assert np.array_equal(center_view(original), center_view(original / 255)), "uint8 and float photos give the same view"

# %% [markdown]
# ## Labels that are wrong
#
# No view mends a wrong label: a panda that lies among the polar bears is learned as a polar bear. So we look at a dozen
# photos, each with the class that it has now. Where the class is wrong, choose another, say why in a few words, and
# press *Save corrections*.
#
# No photo is moved or changed. A correction is one line in a table, `data/edits.csv` unless the setting `edits` names
# another. Run `01_fetch` again, and it applies the table to the photos with that content, whatever their names.
# Nothing is written until you press the button.

# %%
Cleaner(current_run, artifacts.draw(current_run, current_run.table("photos.csv"), 12))

# %% [markdown]
# **What to see.** Whole photos this time, for a bear at the edge counts as well. In the sample every label is right:
# try a wrong one, save it, and *Undo* it. To look through all photos, give `Cleaner` the whole table: it shows twelve
# a page.
#
# **What we learned.** Every photo, whatever its size or kind, becomes the same kind of array; training and prediction
# use the same code for it. On to `03_split`.
