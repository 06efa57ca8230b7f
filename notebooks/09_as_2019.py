# %% [markdown]
# # 9. As in 2019: the article's own procedure, and what its choices cost
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [06_evaluate](06_evaluate.ipynb) with the
# same `run`, or run `make train`. `make beyond` runs this notebook headless.
#
# **You will learn** why a network must train and predict in the same mode, what six other choices change, and what the
# printed 98.92 % really means.
#
# The article ("Doing ML, part 3: CNN") printed a test accuracy of 98.92 %. Its code no longer runs, because
# `tf.contrib` is gone. `bears_tl.article.procedure` repeats its procedure on TF-slim's own graph, in a session of
# TensorFlow 1:
#
# 1. A random fifth of the photos is the test: 184 of 919. The other 735 train.
# 2. Inception v3 is built as TF-slim published it and filled from the checkpoint. A new softmax layer is added after
#    `PreLogits`, and Adam trains only that layer.
# 3. Each of ten epochs draws 18 batches of 40 photos. scikit-image resizes a random box of each photo, and half of the
#    boxes are mirrored. The whole network is fed `training: True`.
# 4. After each epoch, the accuracy of the last batch is printed and a checkpoint is saved.
# 5. The test photos are cropped at random as well. They are tested in ten batches, and the ten accuracies are averaged.
#
# Seven of these choices could be made differently; five of them are faults. Each is a switch, and we change one switch
# at a time:
#
# | switch | in 2019 | current practice | problem |
# | --- | --- | --- | --- |
# | `batch_norm` | batch | stored | the frozen body uses batch statistics in training and stored ones in the test |
# | `dropout` | on | off | not a fault; it came with `training: True` |
# | `train_views` | random | center | not a fault; the switch shows the effect of augmentation |
# | `test_views` | random | center | the score depends on where the random boxes of the test photos lie |
# | `split` | plain | grouped | near-duplicates may be in both sets, and class shares depend on chance |
# | `drawing` | each batch anew | each photo once | an epoch uses some photos twice and others never |
# | `mean` | of batches | of photos | a photo in a small batch counts more than one in a large batch |

# %% [markdown]
# *Setup for Colab. Elsewhere this only changes to the repository root.*

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
run = "runs/sample"  # a trained and evaluated run; its other files stay as they are
as_2019 = "glimpse"  # glimpse: a demonstration, minutes; whole: everything, hours

# %%
import numpy as np
from IPython.display import Markdown

from bears_tl.article import claims, reproduction, switches
from bears_tl.article import plots as plots_2019
from bears_tl.article.modes import refuse_two_modes
from bears_tl.errors import InputError
from bears_tl.judging import paired, plots
from bears_tl.judging.metrics import wilson_interval
from bears_tl.pipeline.run import Run

# %%
current_run = Run.open_or_start(run, as_2019=as_2019)
print(f"{current_run.facts('intake')['count']} photos, {current_run.facts('restore')['kind']} weights")
print(current_run.notice())

# %% [markdown]
# ## Two modes of one body
#
# A batch norm subtracts a mean and divides by a standard deviation. In inference mode, both are stored in the
# checkpoint. In training mode, both are computed from the batch. The article fed `training: True` to the whole network,
# including the "frozen" body. So its new layer was trained on features of one mode and tested on features of the other.
#
# Before any training, we compute the features of the same photos in both modes.

# %%
trained, served = reproduction.features_in_two_modes(current_run, most=40)
distances = np.linalg.norm(trained - served, axis=1) / np.linalg.norm(served, axis=1)
print(f"distance between the modes, as a share of the length of the features: {distances.mean():.0%} on average")
print(f"({distances.min():.0%} to {distances.max():.0%}, over {len(distances)} photos)")

# %%
figure = plots_2019.two_modes(served[0], trained[0], current_run.notice())

# %% [markdown]
# **What to see.** Each dot is one of the 2,048 features of one photo. If both modes agreed, all dots would lie on the
# line. A distance of 0 % means equal features; 100 % means that they differ by as much as they are long. For
# comparison: rounding to bfloat16 gives 3 %. The statistics of the stand-in were measured on painted photos like those
# of the sample, so its modes are close. ImageNet's statistics were not measured on bears: with the weights of 2015, 40
# of the 551 real photos gave 77 %. In training mode, a photo's features also depend on the other photos in its batch.
#
# `bears_tl` refuses to train a body in one mode and use it in the other, unless this is intended, as it is here:

# %%
refuse_two_modes(distances.mean(), intended=True)
try:
    refuse_two_modes(distances.mean())
    print("The two modes are close enough: nothing to refuse.")
except InputError as error:
    print("Refused:", error)

# %% [markdown]
# ## One switch at a time
#
# **By default this is a short demonstration**: one seed, four training steps (the article made 180), and two of the
# seven switches, `batch_norm` and `mean`. Four steps train almost nothing. The accuracies below show how the comparison
# works and say nothing about 2019. `as_2019 = "whole"` changes each switch, with ten epochs and five seeds. Finished
# results are kept in the run's `as_2019` folder.

# %%
rows = reproduction.reproduce(current_run)
assert rows[0]["variant"] == "none" and all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
Markdown(paired.table(rows, switches.STUDY))

# %%
figure = plots.paired_changes(rows, switches.STUDY.loss, current_run.notice())

# %% [markdown]
# **What to see.** On the left, the bars count the test photos that only the procedure of 2019 (the base) or only the
# version with one switch changed (the variant) gets right. *p* compares them photo by photo, which is more sensitive
# than asking whether two intervals overlap. On the right is the change of the test loss. It shows differences in
# confidence where nearly every prediction is right. `mean` changes only the printed number, not the predictions.
#
# ## The same on real photos
#
# This is the table of 551 real photos with all epochs. `results/as_2019.md` has its command.

# %%
results = "results/as_2019.csv"
if os.path.isfile(results):
    text = paired.table(paired.read(results, switches.STUDY), switches.STUDY)
else:
    text = f"`{results}` is missing. `bears as-2019 --run RUN --to {results}` writes it from a run on real photos."
Markdown(text)

# %% [markdown]
# **What to see.** These photos are easy: no switch changes the accuracy by more than chance explains. The loss is more
# sensitive. With stored statistics in training it falls by about half, more than with any other switch, and in every
# seed. So the two modes differ a lot and yet cost hardly a photo: the new layer still separates the classes, but its
# confidence is lower.
#
# ## What 98.92 % means
#
# The 184 test photos were tested in ten batches: four of 19 and six of 18. The plain mean over batches depends only on
# how many wrong photos are in batches of 19 and how many in batches of 18. We try all combinations.

# %%
found = claims.counts_that_print("98.92", {19: 4, 18: 6})
print("98.92 is printed with (wrong in batches of 19, wrong in batches of 18):", found)
assert found == [(1, 1)]

# %% [markdown]
# Only two wrong photos, one in a batch of each size, print 98.92 %. Counted by photos, the accuracy is:

# %%
low, high = wilson_interval(182, 184)
print(f"182 of 184: {182 / 184:.2%}, 95 % interval {low:.1%} to {high:.1%}")

# %% [markdown]
# The article also printed an accuracy of 0.974359 for one training batch.

# %%
found = claims.fractions_that_print("0.974359", most=40)
print("0.974359 is printed with (right, photos):", found)
assert found == [(38, 39)]

# %% [markdown]
# A batch of 40 photos cannot print 0.974359. One photo was corrupt and left out: 38 of 39.
#
# ## All numbers of the article
#
# The table has every number that the article and its notebook state, and ours beside it (from `results/claims.yaml`).

# %%
Markdown(claims.table(claims.read_claims("results/claims.yaml")))

# %% [markdown]
# **What we learned.** The article's number means two mistakes in 184 photos, with an interval from 96.1 to 99.7 %.
# Changing one choice at a time on the same photos shows what each one costs. The mode of the batch norm costs the most.
#
# This was the last notebook. [docs/article.md](../docs/article.md) has these results on one page, and
# [docs/photos.md](../docs/photos.md) shows how to train on your own photos.
