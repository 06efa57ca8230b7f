# %% [markdown]
# # 8. Beyond: what could improve the classifier
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [06_evaluate](06_evaluate.ipynb) with the
# same `run`, or run `make train`. After that, `make beyond` runs this notebook and the next without a browser.
#
# **You will learn** how to test an idea fairly: change one thing at a time, keep the test photos, and look at the
# interval before you believe a difference.
#
# The article ends with ideas for improvement: more epochs, early stopping, more unfrozen layers, more data, and richer
# augmentation. This notebook tries each of them on your run, and a network trained from scratch as well. It does not
# change what the earlier notebooks wrote.
#
# **By default this is a short demonstration** of about two minutes on two cores, with one seed. It shows how each
# comparison works; its numbers are too few to conclude anything. With `beyond = "whole"` it tries all blocks, sizes and
# settings, most of them with several seeds. That takes hours.

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
run = "runs/sample"  # the folder of a trained and evaluated run
beyond = "glimpse"  # glimpse: a demonstration, minutes; whole: everything, hours
fine_tune_learning_rate = 0.00003  # step size of Adam for the layers below the head, in the ladder
fine_tune_epochs = 10  # largest number of epochs per rung of the ladder
fine_tune_patience = 3  # stop a rung after this many epochs without a lower validation loss

# %%
from IPython.display import Markdown

from bears_tl.files import read_json
from bears_tl.judging import metrics, plots, study_plots
from bears_tl.pipeline.run import Run
from bears_tl.studies import comparison, ladder, learning_curves, scratch

# %%
knobs = {"fine_tune_epochs": fine_tune_epochs, "fine_tune_patience": fine_tune_patience}
current_run = Run.open_or_start(run, beyond=beyond, fine_tune_learning_rate=fine_tune_learning_rate, **knobs)
current_run.check("evaluate")
config = current_run.config
whole = config.beyond == "whole"
folder = current_run.path("beyond") / config.beyond
transfer = read_json(current_run.path("metrics.json"))["test"]
print("This run:", metrics.sentence(transfer))
print(current_run.notice())

# %% [markdown]
# ## More unfrozen layers: the ladder
#
# So far we trained only the head. Each *rung* of the ladder also trains the blocks of Inception v3 from the top down to
# the named one. The demonstration has two rungs: the head alone, and the head with the highest block, `mixed_7c`.
#
# The head is already trained, so it gets only a tenth of `learning_rate`. The blocks get `fine_tune_learning_rate`,
# which is smaller still. Batch normalization stays in inference mode. The frozen part below a rung is computed only
# once per photo.

# %%
rows = ladder.climb(current_run, None if whole else ["head", "mixed_7c"])
trained_values = [row["trained_values"] for row in rows]
assert trained_values == sorted(trained_values)  # every rung trains more than the one before

# %%
figure = study_plots.ladder(rows, current_run.notice())

# %% [markdown]
# **What to see.** Each rung has its accuracy on validation and test photos, with 95 % intervals. From left to right,
# more of the network is trained. Where the intervals overlap widely, this test does not show a difference.
#
# Above, each line ends with the test result and names the epoch whose weights were kept: the one with the lowest
# validation loss. "Kept epoch 0" means that no epoch lowered it, so the rung equals the head it started from. A rung
# has far more weights than there are photos, so it can overfit. If the body has random weights (the stand-in),
# unfreezing is the first time that it learns anything.
#
# ## Other augmentation, other training
#
# We change one setting, or one group of settings, and train again. Base and variants share their photos and split.

# %%
trials = ["brightness=0.3 contrast=0.3 saturation=0.3", "label_smoothing=0.1", "optimizer=adam mixup=0.4"]
if whole:
    trials += ["hue=0.1", "rotation_degrees=15", "erasing=0.3", "class_weights=balanced", "train_views=4"]
trials = comparison.others(trials, config)  # without those that the run uses already
seeds = 5 if whole else 1
runs = folder / comparison.origin_of(config).name
tried = comparison.compare(config, trials, seeds, folder / "settings.csv", runs, "08_beyond")
Markdown((folder / "settings.md").read_text(encoding="utf-8"))

# %%
figure = study_plots.paired_changes(tried, comparison.STUDY.loss, current_run.notice())

# %% [markdown]
# **What to see.** Left: test photos that only the base or only the variant classifies correctly. A setting that matters
# has a long bar on one side; two zeros mean that both make the same mistakes. Right: the change in validation loss, a
# finer measure; below 0 is better. One seed does not show how much this change varies by chance. Label smoothing and
# mixup train on softened targets, so they may raise this loss without making more mistakes. Mixup needs Adam.
#
# ## More epochs, and when to stop
#
# L-BFGS, the default, stops at the best weights, so it needs no number of epochs. The article used Adam. Adam stops
# early: when the validation loss has not fallen for `patience` epochs, or after `epochs`. Here we train with Adam for
# exactly 10, 30 and 100 epochs. In each case, the weights with the lowest validation loss are kept.

# %%
trials = comparison.others([f"optimizer=adam epochs={count} patience={count}" for count in (10, 30, 100)], config)
comparison.compare(config, trials, seeds, folder / "epochs.csv", runs, "08_beyond")
Markdown((folder / "epochs.md").read_text(encoding="utf-8"))

# %% [markdown]
# **What to see.** Compare the validation loss of the rows; the base has your run's settings. The loss usually falls
# with more epochs, more slowly each time. A lower loss need not mean fewer mistakes: often the model only becomes more
# confident.
#
# ## The alternative: a network from scratch
#
# A small network of five convolutional layers learns from the training photos alone, at 128 x 128 pixels. With
# `"whole"` it may train for as long as the transfer run took; the demonstration gives it 10 seconds. Measured times
# vary, so the time is first converted into a number of epochs. Training again with that number gives the same network.

# %%
result = scratch.train(current_run, seconds=None if whole else 10)
print(f"{result['parameters']:,} parameters, {result['epochs']} epochs in {result['seconds']:.0f} s")
print("from scratch:", metrics.sentence(result["test"]))
print("transfer:", metrics.sentence(transfer))

# %% [markdown]
# ## How much transfer learning gains
#
# We train a head and a network from scratch with few training photos, with more, and with all of them. The test photos
# stay the same. Each smaller training set is part of the larger ones.

# %%
sizes, seeds, seconds = (learning_curves.SIZES, 3, None) if whole else ((5, 10), 1, 5)
curves = learning_curves.measure(current_run, sizes, seeds, seconds)
assert len(curves) == 2 * seeds * len({row["photos_per_class"] for row in curves})  # both methods, for every size

# %%
classes = len(result["test"]["per_class"])
figure = study_plots.transfer_gain(curves, classes, current_run.notice())

# %% [markdown]
# **What to see.** The vertical distance between the curves is the gain from transfer learning. To see how many photos
# it saves, look how far to the right the orange curve gets as high as the blue one, if it does.
#
# The demonstration gives each network from scratch 5 seconds, so how high the orange curve gets depends on the speed of
# your machine. With `"whole"`, each network gets as long as the transfer run took. With weights trained on a million
# photos, the blue curve is usually high from a few photos on.
#
# With a stand-in body, this figure says nothing about transfer learning. The bears of the painted sample differ in
# colour, so random weights do well too, and the small network may do better. The next section shows how far colour
# alone gets.
#
# ## Is colour alone enough?
#
# Before you trust any of these accuracies, compare them with simple cues. Notebook 06 explains this figure.

# %%
print("\n".join(current_run.facts("audit")["warnings"]) or "No cue comes within five points of the body's accuracy.")
figure = plots.cue_accuracies(current_run.table("cues.csv"), current_run.notice())

# %% [markdown]
# **What to see.** A cue that comes close to the orange line could explain the result without any bear being recognized.
#
# **What we learned.** An idea is tested by changing one thing at a time, on the same photos, and by reporting the
# uncertainty. On 551 real photos with trained weights, none of these settings got fewer test photos wrong than the
# base. With five photos per class, transfer got at most 2 of 111 test photos wrong; the network from scratch got 8 or
# 9 wrong even with all photos. [docs/results.md](../docs/results.md#what-more-settings-depth-and-data-bring) explains
# this and links to the tables in `results/`.
#
# Next: [09_as_2019](09_as_2019.ipynb) repeats what the article did.
