# %% [markdown]
# # 8. Beyond: what more could improve the classifier?
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [06_evaluate](06_evaluate.ipynb) with the
# same `run`, or run `make train`. `make beyond` runs this notebook headless.
#
# **You will learn** how to test an idea fairly: change one thing at a time, keep the test photos, and look at the
# interval before you believe a difference.
#
# The article ends with a list of wishes: more epochs, early stopping, more trained layers, more data, richer
# augmentation. We try each of them on your run, and also a network trained from scratch. Nothing here changes the files
# of notebooks 01 to 07.
#
# **By default this is a short demonstration** of two to three minutes, with one seed and few sizes. It shows how each
# comparison works; its numbers prove nothing. `beyond = "whole"` tries every block, size and setting over several
# seeds, which takes hours.

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
run = "runs/sample"  # a trained and evaluated run
beyond = "glimpse"  # glimpse: a demonstration, minutes; whole: everything, hours
fine_tune_learning_rate = 0.00003  # step size of Adam for the layers below the head, in the ladder
fine_tune_epochs = 10  # largest number of epochs per rung of the ladder
fine_tune_patience = 3  # stop a rung after this many epochs without a lower validation loss

# %%
from IPython.display import Markdown

from bears_tl.files import read_json
from bears_tl.judging import metrics, plots
from bears_tl.pipeline.run import Run
from bears_tl.studies import comparison, ladder, learning_curves, scratch

# %%
knobs = {"fine_tune_epochs": fine_tune_epochs, "fine_tune_patience": fine_tune_patience}
current_run = Run.open_or_start(run, beyond=beyond, fine_tune_learning_rate=fine_tune_learning_rate, **knobs)
current_run.check("evaluate")
config = current_run.config
whole = config.beyond == "whole"
folder = current_run.path("beyond") / config.beyond
print(current_run.notice())

# %% [markdown]
# ## Fine-tuning more layers: the ladder
#
# Each rung of the ladder trains one more block of Inception v3 together with the head, from the top down. Every rung
# starts from the run's trained head. The head uses a tenth of `learning_rate`; the body uses the much smaller
# `fine_tune_learning_rate`. Batch norms stay in inference mode. The blocks below the lowest trained one are computed
# only once, so a rung costs only what it trains.

# %%
rows = ladder.climb(current_run, None if whole else ["head", "mixed_7c"])
assert [row["trained_values"] for row in rows] == sorted(row["trained_values"] for row in rows)

# %%
figure = plots.ladder(rows, current_run.notice())

# %% [markdown]
# **What to see.** On the left only the head is trained; each step to the right trains one more block. Where the
# intervals overlap, this test cannot tell two rungs apart. Each rung keeps the epoch with the lowest validation loss;
# "kept epoch 0" means that no epoch improved on the head. Few photos cannot train millions of weights. With a stand-in
# body of random weights, unfreezing is the first time that the body learns anything.
#
# ## Richer views, and other ways to train the head
#
# Each variant changes one setting of the run and is tested on the same photos.

# %%
tries = ["brightness=0.3 contrast=0.3 saturation=0.3", "label_smoothing=0.1", "mixup=0.4"]
if whole:
    tries += ["hue=0.1", "rotation_degrees=15", "erasing=0.3", "class_weights=balanced", "train_views=4"]
seeds = 5 if whole else 1
runs = folder / comparison.origin_of(config).name
tries = comparison.others(tries, config)  # without settings that the run already has
tried = comparison.compare(config, tries, seeds, folder / "settings.csv", runs, "08_beyond")
Markdown((folder / "settings.md").read_text(encoding="utf-8"))

# %%
figure = plots.paired_changes(tried, comparison.STUDY.loss, current_run.notice())

# %% [markdown]
# **What to see.** On the left, the bars count the test photos that only the base or only the variant gets right. A
# setting that matters has a long bar on one side. On the right is the change of the validation loss, a finer measure:
# below 0 the variant is better. With a single seed you cannot see how much the change varies. Label smoothing and mixup
# minimize another loss than the one shown, so theirs may rise although nothing gets worse.
#
# ## More epochs, and when to stop
#
# By default, training stops early: after at most 200 epochs, it keeps the weights with the lowest validation loss. Here
# we turn early stopping off and train for exactly 10, 30 and 100 epochs.

# %%
tries = comparison.others([f"epochs={count} patience={count}" for count in (10, 30, 100)], config)
comparison.compare(config, tries, seeds, folder / "epochs.csv", runs, "08_beyond")
Markdown((folder / "epochs.md").read_text(encoding="utf-8"))

# %% [markdown]
# **What to see.** After few epochs the validation loss is still high; more epochs lower it, more and more slowly. With
# trained weights the accuracy hardly changes, because the first epochs already classify most photos correctly; later
# epochs only raise the confidence. With random weights, a hundred epochs may still help.
#
# ## The alternative: a network from scratch
#
# A small network of five convolutions and fewer than 200,000 weights is trained on the same photos at 128 px. It gets
# as much time as the transfer run took (ten seconds in the demonstration). Wall time cannot be reproduced, so the time
# is converted into a number of epochs once; training again with that number gives the same bits.

# %%
result = scratch.train(current_run, seconds=None if whole else 10)
print(f"{result['parameters']:,} parameters, {result['epochs']} epochs in {result['seconds']:.0f} s")
print("from scratch:", metrics.sentence(result["test"]))
print("transfer:    ", metrics.sentence(read_json(current_run.path("metrics.json"))["test"]))

# %% [markdown]
# ## How much does transfer learning save?
#
# We train both with few photos, with more, and with all, and test them on the same photos. Smaller training sets are
# parts of the larger ones.

# %%
sizes, seeds, seconds = (learning_curves.SIZES, 3, None) if whole else ((5, 10), 1, 5)
curves = learning_curves.measure(current_run, sizes, seeds, seconds)
assert len(curves) == 2 * seeds * len({row["photos_per_class"] for row in curves})

# %%
classes = len(result["test"]["per_class"])
figure = plots.transfer_gain(curves, classes, current_run.notice())

# %% [markdown]
# **What to see.** The gap between the curves is the gain from transfer. Go from a point of the blue curve to the right
# until the orange curve is as high: that is how many more photos training from scratch needs. Weights trained on a
# million photos give a high blue curve from the first few photos on. On the painted sample with random weights there is
# no such head start, and the small network may do better.
#
# ## Would colour alone do as well?
#
# Before you believe any of these figures, compare them with what colour, border and sizes reach alone (from notebook
# 06).

# %%
for row in current_run.table("cues.csv"):
    low, high = float(row["interval_low"]), float(row["interval_high"])
    print(f"{row['cue'].replace('_', ' '):>12}: {float(row['accuracy']):.1%} ({low:.1%} to {high:.1%})")
print("\n".join(current_run.facts("audit")["warnings"]) or "No cue comes within five points of the network.")

# %% [markdown]
# **What we learned.** How to test a wish: change one thing at a time, on the same photos, with an interval.
# [Results](../docs/results.md#what-more-settings-depth-and-data-bring) has the whole comparison on 551 real photos:
# they are too easy to tell settings apart, and five photos per class are enough.
#
# Next: [09_as_2019](09_as_2019.ipynb) runs the article's own procedure.
