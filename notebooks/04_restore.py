# %% [markdown]
# # 4. Restore: load a pretrained network
#
# **Before you start:** run [01_fetch](01_fetch.ipynb) and [03_split](03_split.ipynb) with the same `run`, or run
# `make train`.
#
# **You will learn** where the weights come from, what is in the checkpoint, and how to check that three
# implementations of the network compute the same.
#
# Inception v3 was trained on 1.3 million photos of 1,000 kinds of things. Its last layer is specific to those kinds.
# The layers below detect edges, textures and parts, which are useful for other photos too. We use everything up to the
# last 2,048 numbers, the *features*, and never change it. We call this part the *body*.
#
# The weights come from the checkpoint (a file of trained numbers) that TF-slim published in 2016. TF-slim is the
# TensorFlow library that the network was first written in. The checkpoint holds 94 *convolutions*: layers that slide
# small filters over the picture. A *batch normalization* follows each; it shifts and scales every output by stored
# numbers. As the body never changes, we multiply these numbers into the filters beforehand (they are *folded in*). All
# weights become constants of one graph, which runs faster. If there is neither a file nor a network connection, a
# *stand-in* with random weights is used, and a notice says so.

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
run = "runs/sample"  # the folder that 03_split wrote to
checkpoint = "auto"  # auto, random, or the path or URL of a TF-slim Inception v3 checkpoint (.ckpt or .tar.gz)
precision = "auto"  # number format that the body computes in; auto: the fastest on this machine, measured once
engine = "auto"  # what computes the body; auto: OpenVINO, or TensorFlow where that fails or there is a GPU
seed = 0  # seed of every random choice

# %%
import numpy as np

from bears_tl.inception.architecture import BASE_VALUES, count_by_block
from bears_tl.inception.backbone import Backbone
from bears_tl.inception.cosine import cosines
from bears_tl.inception.slim import SMALLEST_COSINE, slim_features
from bears_tl.inception.weights import KINDS
from bears_tl.judging import plots
from bears_tl.photos.views import scale
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

# %%
current_run = Run.open_or_start(run, checkpoint=checkpoint, precision=precision, engine=engine, seed=seed)
body = stages.restore(current_run)
facts = current_run.facts("restore")
print(f"Weights: {facts['path']}, {KINDS[facts['kind']]}, SHA-256 {facts['fingerprint'][:16]}...")
print(f"{body.engine} computes the body in {body.precision}.")
print(current_run.notice())

# %% [markdown]
# ## What is in the checkpoint
#
# We compare the checkpoint with what the body needs. If a variable is missing, left over or has the wrong shape, the
# run stops and names it. Keras' Inception v3, filled from the same file, shows how many numbers each block holds.

# %%
keras_body = Backbone.restore(facts["path"])
values = keras_body.values()
blocks = count_by_block(values)
for block, count in blocks.items():
    print(f"{block:>14} {count:>12,}")
print(f"{'all':>14} {sum(blocks.values()):>12,}")
assert sum(blocks.values()) == BASE_VALUES
assert len(values) == 4 * 94  # a kernel, an offset, a mean and a variance per convolution

# %% [markdown]
# ## The first filters

# %%
kernels = values["InceptionV3/Conv2d_1a_3x3/weights"]
figure = plots.filter_grid(kernels, title=f"The {kernels.shape[-1]} filters of the first layer")

# %% [markdown]
# **What to see.** Each filter is 3 x 3 pixels with three colours. Trained filters show edges in several directions and
# blobs of colour. The stand-in's filters are noise.
#
# ## Three implementations, one result
#
# TF-slim's own graph of 2016, restored from the same file, is the reference. For the same photos, Keras' body and our
# folded body must compute the same features. A cosine of 1 means that two feature vectors have the same direction.

# %%
pixels = artifacts.draw_pixels(current_run, 4)
reference = slim_features(facts["path"], scale(pixels))
reference.shape

# %%
features = keras_body.features(scale(pixels))
cosine = cosines(features, reference).min()
print(f"Keras: cosine {cosine:.6f} or more, largest difference {np.abs(features - reference).max():.1e}")
assert cosine > SMALLEST_COSINE["float32"]

# %%
features = body.infer(pixels)
cosine = cosines(features, reference).min()
print(f"Folded body: cosine {cosine:.6f} or more, largest difference {np.abs(features - reference).max():.1e}")
assert cosine > SMALLEST_COSINE[body.precision]

# %% [markdown]
# ## One by one or together
#
# In inference mode the features of a photo do not depend on the other photos in its batch, not even in the last bit.
# The article ran the network with `training: True`, where they do depend on them.

# %%
alone = [body.infer(view[np.newaxis])[0] for view in pixels]
assert np.array_equal(alone, features)

# %% [markdown]
# **What we learned.** The body computes the features of TF-slim's network of 2016, up to the rounding of its number
# format. It is frozen, and it treats each photo independently.
#
# Next: [05_train](05_train.ipynb) trains a new last layer on these features.
