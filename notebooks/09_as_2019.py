# %% [markdown]
# # 9. As in 2019: the article's procedure, and what its choices cost
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [06_evaluate](06_evaluate.ipynb) with the
# same `run`, or run `make train`. After that, `make beyond` runs [08_beyond](08_beyond.ipynb) and this notebook without
# a browser.
#
# **You will learn** why batch normalization must stay in inference mode in a frozen body, how to measure the cost of
# one choice at a time, and how to work out what a printed accuracy means.
#
# **By default this is a short demonstration** of two to three minutes on two cores.
#
# The article ("Doing ML, part 3: CNN") printed a test accuracy of 98.92 %. Its code no longer runs, because
# `tf.contrib` is gone. We repeat its procedure with `bears_tl.article.procedure`, on TF-slim's own graph:
#
# 1. A random fifth of the photos is the test: 184 of 919. The other 735 are for training.
# 2. Inception v3 is restored from TF-slim's checkpoint. Adam trains only a new softmax layer on its `PreLogits`.
# 3. Ten epochs draw 18 batches of 40 photos each. A random square of each photo is resized, and half of them are
#    mirrored. The whole network runs with `training: True`.
# 4. After each epoch, the accuracy of the last batch is printed and a checkpoint is saved.
# 5. The test photos are cropped at random too. Their accuracy is the mean over ten batches.
#
# Seven of these choices can be made differently; five of them are faults. Each one is a switch:
#
# | switch | as in 2019 | current practice | what is wrong with it |
# | --- | --- | --- | --- |
# | `batch_norm` | batch | stored | training uses the statistics of the batch, the test the stored ones |
# | `dropout` | on | off | not a fault; it comes with `training: True` |
# | `train_views` | random | center | not a fault; this switch shows the effect of augmentation |
# | `test_views` | random | center | the score depends on random crops of the test photos |
# | `split` | plain | grouped | near-duplicates may be in both parts, and the shares of the classes vary |
# | `drawing` | each batch anew | each photo once | an epoch repeats some photos and misses others |
# | `mean` | of batches | of photos | a photo in a small batch counts more than one in a large batch |

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
run = "runs/sample"  # the folder of a trained run; its training stays as it is
as_2019 = "glimpse"  # glimpse: a demonstration, minutes; whole: everything, hours

# %%
import numpy as np
from IPython.display import Markdown

from bears_tl.article import claims, reproduction, switches
from bears_tl.article import plots as plots_2019
from bears_tl.article.modes import refuse_two_modes
from bears_tl.errors import InputError
from bears_tl.judging import paired, study_plots
from bears_tl.judging.metrics import wilson_interval
from bears_tl.pipeline.run import Run

# %%
current_run = Run.open_or_start(run, as_2019=as_2019)
print(f"{current_run.facts('intake')['count']} photos, {current_run.facts('restore')['kind']} weights")
print(current_run.notice())

# %% [markdown]
# ## One body, two modes
#
# Batch normalization subtracts a mean and divides by a standard deviation. In inference mode, both come from the
# checkpoint. In training mode, both come from the current batch.
#
# The article ran the "frozen" body in training mode too. So its new layer was trained on other features than those it
# got in the test. Before we train anything, we compute the features of the same photos in both modes.

# %%
trained, served = reproduction.features_in_two_modes(current_run, most=40)
distances = np.linalg.norm(trained - served, axis=1) / np.linalg.norm(served, axis=1)
print(f"Distance between the modes, relative to the length of the features: {distances.mean():.0%} on average")
print(f"({distances.min():.0%} to {distances.max():.0%}, over {len(distances)} photos)")

# %%
figure = plots_2019.two_modes(served[0], trained[0], current_run.notice())

# %% [markdown]
# **What to see.** Each dot is one of the 2,048 features of one photo. If the modes agreed, all dots would be on the
# line. A distance of 0 % means equal features; at 100 % the difference is as long as the features themselves. Rounding
# to bfloat16 alone gives 3 %.
#
# The stored statistics of the stand-in were measured on painted photos like those of the sample, so there the modes are
# close. Those of ImageNet were not measured on bears: 40 real photos gave 77 %, see
# [docs/article.md](../docs/article.md). In training mode, a photo's features also depend on the rest of its batch.
#
# The library refuses a body that is trained in one mode and used in the other, unless this is intended:

# %%
try:
    refuse_two_modes(distances.mean())
    print("Accepted: the two modes are close enough.")
except InputError as error:
    print("Refused:", error)
refuse_two_modes(distances.mean(), intended=True)  # as in 2019: never refused

# %% [markdown]
# ## The procedure, changing one switch at a time
#
# The demonstration uses one seed, two training steps (the article made 180) and two of the seven switches,
# `batch_norm` and `mean`. Two steps train almost nothing. So the accuracies below show how the comparison works and
# say nothing about 2019.
#
# With `as_2019 = "whole"`, each of the seven switches is changed, with ten epochs and five seeds. Finished work is kept
# in the run's `as_2019` folder and is not repeated.

# %%
rows = reproduction.reproduce(current_run)
assert rows[0]["variant"] == "none"  # the article's procedure is the base
assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
Markdown(paired.table(rows, switches.STUDY))

# %%
figure = study_plots.paired_changes(rows, switches.STUDY.loss, current_run.notice())

# %% [markdown]
# **What to see.** The base is the procedure of 2019; a variant changes one switch. Left: test photos that only one of
# the two classifies correctly. *p* compares them photo by photo, which is a sharper test than looking whether two
# intervals overlap. Right: the change in test loss, which still shows a difference when nearly all photos are right.
# `mean` changes only the printed accuracy, the last column of the table, so it has no effect in this figure.
#
# ## The same on real photos
#
# This table comes from 551 real photos and the whole procedure. `results/as_2019.md` names its seeds and its command.

# %%
results = "results/as_2019.csv"
if os.path.isfile(results):
    text = paired.table(paired.read(results, switches.STUDY), switches.STUDY)
else:
    text = f"`{results}` is missing: `bears as-2019 --run RUN --to {results}` writes it from a run on real photos."
Markdown(text)

# %% [markdown]
# **What to see.** No switch changes the accuracy significantly; these photos are too easy. The loss shows more: with
# stored statistics in training, it falls by about half, more than with any other single switch, and in every seed.
# Batch statistics cost confidence here, but hardly any test photo: the layer trained in one mode still separates the
# classes in the other.
#
# ## Where 98.92 % comes from
#
# The test had 184 photos in ten batches: four of 19 and six of 18. So the mean over the batches depends only on the
# number of wrong photos in the batches of 19, and in those of 18.

# %%
batches = {19: 4, 18: 6}  # photos per batch, and how many such batches
for of_19, of_18 in [(0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (0, 3)]:
    mean = claims.mean_over_batches((of_19, of_18), batches)
    print(f"{of_19} wrong in batches of 19, {of_18} in batches of 18: {mean:.2%}")

# %% [markdown]
# One of these prints 98.92 %. Does any other? We try all possible pairs.

# %%
found = claims.counts_that_print("98.92", batches)
print("(wrong in batches of 19, wrong in batches of 18):", found)
assert found == [(1, 1)]

# %% [markdown]
# So two of the 184 photos were wrong, one in a batch of 19 and one in a batch of 18. Counted per photo, the accuracy is
# slightly lower, and its interval shows how uncertain it is:

# %%
low, high = wilson_interval(182, 184)
print(f"182 of 184 photos: {182 / 184:.2%}, 95 % interval {low:.1%} to {high:.1%}")

# %% [markdown]
# During training, the accuracy of one batch was printed as 0.974359. Which count of correct photos, of at most 40,
# prints this number?

# %%
fractions = claims.fractions_that_print("0.974359", most=40)
print("correct photos and size of the batch:", fractions)
assert fractions == [(38, 39)]

# %% [markdown]
# So this batch had 39 photos, not 40. The article's code left corrupt photos out of a batch.
#
# ## All numbers
#
# Every number in the article and its notebook, with ours beside it, from `results/claims.yaml`:

# %%
Markdown(claims.table(claims.read_claims("results/claims.yaml")))

# %% [markdown]
# **What we learned.** The article's 98.92 % means two mistakes in 184 photos, which leaves a wide interval. A frozen
# body must stay in inference mode. To measure what a choice costs, change that choice alone and keep the photos.
#
# Next: [10_loop](10_loop.ipynb) sorts new photos and learns from corrections.
