# %% [markdown]
# # 8. Beyond: what the article only wished for
#
# Its last lines suggest more epochs, early stopping, more layers unfrozen, more data, richer augmentation; and there is
# the alternative, a network of one's own. Here each is tried on the run that the notebooks before left, against the
# same photos. None of it changes what they wrote.
#
# **By default this is a glimpse**, minutes on the painted sample with one seed: it shows how each comparison works, and
# no figure of it should be believed. With `beyond = "whole"` every rung, size and setting is tried, over several seeds.

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
run = "runs/sample"  # a run that is trained and evaluated: by the notebooks 01 to 06, or `bears train`
beyond = "glimpse"  # glimpse: two rungs, two sizes, one seed; whole: everything, hours
fine_tune_learning_rate = 0.00003  # Adam's step size below the head, in the ladder
fine_tune_epochs = 10  # a rung of the ladder is trained for this many, or fewer
fine_tune_patience = 3  # epochs without a lower validation loss before a rung's training stops

# %%
from IPython.display import Markdown

from bears_tl.judging import metrics, plots
from bears_tl.pipeline.run import Run
from bears_tl.studies import comparison, ladder, learning_curves, scratch

knobs = {"fine_tune_epochs": fine_tune_epochs, "fine_tune_patience": fine_tune_patience}
current_run = Run.open_or_start(run, beyond=beyond, fine_tune_learning_rate=fine_tune_learning_rate, **knobs)
depth = current_run.config.beyond
whole, folder = depth == "whole", current_run.path("beyond") / depth
assert current_run.facts("evaluate") is not None  # or one line says what to run first
print(current_run.notice())

# %% [markdown]
# ## More layers unfrozen: the ladder
#
# Rung by rung, blocks of Inception v3 are trained together with the head, from the top down. In the ladder the head's
# learning rate is a tenth of `learning_rate`, and the body's, `fine_tune_learning_rate`, another tenth; batch norms
# stay in inference mode, and what lies below the lowest trained block is computed once and kept, so that a rung costs
# only what it trains.

# %%
rows = ladder.climb(current_run, None if whole else ["head", "mixed_7c"])
assert [row["trained_values"] for row in rows] == sorted(row["trained_values"] for row in rows)

# %%
figure = plots.ladder(rows, current_run.notice())

# %% [markdown]
# **What to see.** Left the head alone, then ever more of the body. Where the intervals overlap, the rungs are not told
# apart. The epoch of the lowest validation loss is kept; "kept 0" above is the head as it was, when no epoch lowered
# it. With few photos the lower rungs have thousands of weights for each of them; with random weights (the stand-in)
# unfreezing is the first time that the body learns anything at all.
#
# ## Richer views, and other ways to train the head
#
# One change at a time against the run's own settings, on the same test photos.

# %%
tries = ["brightness=0.3 contrast=0.3 saturation=0.3", "label_smoothing=0.1", "mixup=0.4"]
if whole:
    tries += ["hue=0.1", "rotation_degrees=15", "erasing=0.3", "class_weights=balanced", "train_views=4"]
config, seeds = current_run.config, 5 if whole else 1
runs = folder / comparison.origin_of(config).name
tries = comparison.others(tries, config)  # without what the run has already
tried = comparison.compare(config, tries, seeds, folder / "settings.csv", runs, "08_beyond")
Markdown((folder / "settings.md").read_text(encoding="utf-8"))

# %%
figure = plots.paired_changes(tried, comparison.STUDY.loss, current_run.notice())

# %% [markdown]
# **What to see.** Left, test photos that only the base or only the variant gets right: settings that matter push a bar
# far out to one side. Right, the change of the validation loss, the finer measure: below 0 is better. With one seed
# there is no spread to hold it against. (Label smoothing and mixup aim at other targets than the loss that is shown.)
#
# ## More epochs, and when to stop
#
# Early stopping is on by default: up to 200 epochs, and the weights of the lowest validation loss are kept. Here
# training goes on regardless for 10, 30 and 100.

# %%
tries = comparison.others([f"epochs={count} patience={count}" for count in (10, 30, 100)], config)
comparison.compare(config, tries, seeds, folder / "epochs.csv", runs, "08_beyond")
Markdown((folder / "epochs.md").read_text(encoding="utf-8"))

# %% [markdown]
# **What to see.** Few epochs leave the validation loss high; more lower it, ever more slowly. On the features of
# trained weights the photos that are right change little: the first epochs find the side of the line, the others only
# make it surer. On a stand-in's random features a hundred epochs may still win some.
#
# ## The alternative: from scratch
#
# A network of five convolutions and fewer than 200,000 weights, on photos of 128 px, in the time that the transfer run
# takes (a glimpse: ten seconds). A clock never measures the same twice, so the time is turned into a number of epochs;
# with that number the same bits come out again.

# %%
result = scratch.train(current_run, seconds=None if whole else 10)
print(f"{result['parameters']:,} parameters, {result['epochs']} epochs in {result['seconds']:.0f} s")
print("from scratch:", metrics.sentence(result["test"]))
wrong = sum(r["predicted"] != r["class_name"] for r in current_run.table("predictions.csv") if r["split"] == "test")
print(f"transfer: {wrong} of {result['test']['count']} photos wrong")

# %% [markdown]
# ## What transfer buys
#
# Both again with few training photos, more, and all, judged by the same test photos. The photos of a smaller set
# are among those of the larger one.

# %%
sizes, seeds, seconds = (learning_curves.SIZES, 3, None) if whole else ((5, 10), 1, 5)
curves = learning_curves.measure(current_run, sizes, seeds, seconds)
assert len(curves) == 2 * seeds * len({row["photos_per_class"] for row in curves})

# %%
classes = len(result["test"]["per_class"])
figure = plots.transfer_gain(curves, classes, current_run.notice())

# %% [markdown]
# **What to see.** The height between the curves is what transfer buys, and where the orange one reaches the blue one's
# height, if it does, is how many photos it is worth. On weights that were trained on a million photos the blue curve is
# high from the first few photos on. The painted sample with random weights is no such case: no million photos
# stand behind that body, and the small network, whose every weight is made for these photos, may well do better.
#
# ## Does colour alone do it?
#
# Before any of these figures is believed: what colour, border and sizes reach by themselves (from `06_evaluate`).

# %%
for row in current_run.table("cues.csv"):
    share, low, high, body = (
        float(row[name]) for name in ("accuracy", "interval_low", "interval_high", "body_accuracy")
    )
    print(f"{row['cue'].replace('_', ' '):>12}: {share:.1%} ({low:.1%} to {high:.1%}), the body {body:.1%}")
print("\n".join(current_run.facts("audit")["warnings"]) or "No cue comes near.")

# %% [markdown]
# **What we learned.** How each wish is tried: one change at a time, on the same photos, with an interval. What came of
# it on 551 real photos stands in `results/` (epochs, options, ladder, learning_curves): on such features nothing is
# left to gain, and five photos a class are enough. On to `09_as_2019`: what the article itself did.
