# %% [markdown]
# # 4. Restore: a network that has already learned to see
#
# Inception v3 was trained on 1.3 million photos of 1,000 kinds of things. Its last layers know those kinds; the
# layers below know edges, fur, eyes and snouts. We take everything up to the last 2,048 numbers, the *features*, and
# leave it as it is.
#
# The weights come from the checkpoint that TF-slim published in 2016: 94 pairs of a convolution and a batch
# normalization. Since nothing of them will change, each batch normalization is folded into its convolution, and the
# whole becomes a graph of constants, the fastest form there is. Without a file or a network, a *stand-in* with random
# weights takes their place, and says so.

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
run = "runs/sample"  # the folder that 03_split wrote to
checkpoint = "auto"  # auto, random, or the path or URL of a TF-slim Inception v3 checkpoint
precision = "auto"  # what the body computes in: auto (the fastest here), float32, bfloat16 or float16
seed = 0  # of the stand-in's weights

# %%
import numpy as np

from bears_tl.inception.backbone import Backbone
from bears_tl.inception.slim import slim_features
from bears_tl.judging import plots
from bears_tl.photos.views import scale
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

current_run = Run.open_or_start(run, checkpoint=checkpoint, precision=precision, seed=seed)

# %%
body = stages.restore(current_run)
facts = current_run.facts("restore")
print(f"{facts['kind']} weights, SHA-256 {facts['fingerprint'][:16]}..., {facts['path']}")
print(f"The body computes in {body.precision}.")
print(current_run.notice())

# %% [markdown]
# ## The inventory
#
# What the checkpoint holds is compared with what the body needs: a variable that is missing, left over or of another
# shape stops the run and is named. Keras' Inception v3, filled from the same file, shows what is in it.

# %%
keras_body = Backbone.restore(facts["path"])
values = keras_body.values()
blocks = {}
for name, value in values.items():
    block = name.split("/")[1]
    blocks[block] = blocks.get(block, 0) + value.size
for block, count in blocks.items():
    print(f"{block:>14} {count:>12,}")
print(f"{'all':>14} {sum(blocks.values()):>12,}")
assert sum(blocks.values()) == 21_802_784 and len(values) == 376

# %% [markdown]
# ## The first filters

# %%
kernels = np.moveaxis(values["InceptionV3/Conv2d_1a_3x3/weights"], -1, 0)
low, high = kernels.min(axis=(1, 2, 3), keepdims=True), kernels.max(axis=(1, 2, 3), keepdims=True)
pictures = ((kernels - low) / (high - low + 1e-9) * 255).astype(np.uint8)
figure = plots.photo_grid(list(pictures), [""] * len(pictures), columns=16)

# %% [markdown]
# **What to see.** The 32 filters of the first layer, 3 x 3 pixels and 3 colours each. In trained weights there are
# edges in all directions and blobs of colour; in the stand-in there is only noise.
#
# ## Three implementations, one result
#
# TF-slim's own graph of 2016, restored from the same file, is the judge: for the same photos Keras' body and our folded
# one must give the same features.

# %%
photos = artifacts.draw(current_run, current_run.table("splits.csv"), 4)
pixels = np.stack(artifacts.pixels(current_run, photos))
slims = slim_features(facts["path"], scale(pixels))
ours = {"Keras": keras_body.features(scale(pixels)), f"folded, {body.precision}": body.infer(pixels)}
for name, features in ours.items():
    difference = np.abs(features - slims).max()
    cosines = (features * slims).sum(axis=1) / np.linalg.norm(features, axis=1) / np.linalg.norm(slims, axis=1)
    print(f"{name}: features up to {slims.max():.2f} differ by {difference:.1e} at most, cosine {cosines.min():.6f}")
    assert cosines.min() > (0.999 if "float16" in name else 0.999999)

# %% [markdown]
# ## One by one or together
#
# In inference mode a photo's features do not depend on the other photos in its batch: not by a bit. The article fed
# `training: True`, so that they did.

# %%
alone = np.concatenate([body.infer(view[np.newaxis]) for view in pixels])
assert np.array_equal(alone, body.infer(pixels))

# %% [markdown]
# **What we learned.** The body is the network of 2016: in float32 to some millionths, in bfloat16, where that is faster
# here, to a cosine of 0.999 or more. And it is frozen. On to `05_train`.
