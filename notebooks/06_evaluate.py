# %% [markdown]
# # 6. Evaluate: how good is it, and how certain are we
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [05_train](05_train.ipynb) with the same
# `run`, or run `make train`.
#
# **You will learn** how to report an accuracy with its uncertainty, what to compare it with, whether a probability
# means what it says, which classes are confused, and how to check whether simple cues such as colour explain the
# result.
#
# The test photos played no part in training or in deciding when to stop. An accuracy measured on few photos is
# uncertain. So we report it with the number of photos and a 95 % interval: the accuracies that such a count does not
# rule out (Wilson's formula, which also holds near 100 %).

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
run = "runs/sample"  # the folder that 05_train wrote to
min_accuracy = 0.0  # the lower end of the test accuracy's 95 % interval must reach this; 0: no limit
max_ece = 1.0  # the expected calibration error of the test must not exceed this; 1: no limit
max_stranger_share = 1.0  # the upper end of the interval of the share of unknown test photos; 1: no limit
tensorboard = False  # write logs for TensorBoard into the run at each evaluation (needs the extra `track`)
mlflow = False  # record each evaluation in MLflow, at MLFLOW_TRACKING_URI or in mlflow.db (needs the extra `track`)

# %%
from IPython.display import Markdown

from bears_tl.judging import metrics, plots
from bears_tl.judging.names import shorten
from bears_tl.judging.predictions import count_errors
from bears_tl.judging.reliability import draw_reliability
from bears_tl.pipeline import artifacts, evaluation, reasons, suspects
from bears_tl.pipeline.run import Run

# %%
limits = {"min_accuracy": min_accuracy, "max_ece": max_ece, "max_stranger_share": max_stranger_share}
current_run = Run.open_or_start(run, tensorboard=tensorboard, mlflow=mlflow, **limits)
result = evaluation.evaluate(current_run)
print("test:", metrics.sentence(result["test"]))
print("val: ", metrics.sentence(result["val"]))
print(result["notice"])
for warning in result["warnings"]:
    print("warning:", warning)
for limit in result["gate"]:
    print("limit:", limit["name"], limit["limit"], "is met" if limit["passed"] else "is not met")

# %%
test = result["test"]
low, high = test["interval"]
Markdown(
    f"{test['count'] - test['errors']} of {test['count']} test photos are right. The accuracy on new photos of this "
    f"kind may well be anywhere from {low:.1%} to {high:.1%}."
)

# %% [markdown]
# A small test cannot prove much: even without a single error, the interval reaches clearly below 100 %. The article
# of 2019 reported 98.92 % without an interval. It averaged the accuracies of ten batches, four with 19 photos and six
# with 18, and cropped the test photos at random.
#
# Near-duplicates in the test are not independent. The *bootstrap* draws whole groups of them with replacement, 2,000
# times, and gives another interval. And an accuracy says little alone, so some much simpler ways stand beside it.

# %%
low, high = test["bootstrap_interval"]
print(f"bootstrap interval: {low:.1%} to {high:.1%}")
print(f"balanced accuracy (the mean over classes): {test['balanced_accuracy']:.1%}")
for row in result["baselines"]:
    low, high = row["interval"]
    print(f"{row['name']:>12}: {row['accuracy']:.1%} ({low:.1%} to {high:.1%}), {row['verdict']}")

# %% [markdown]
# **What to see.** `majority` always answers with the most frequent class; the others look at one simple cue, see below.
# "Clearly below" means that the intervals do not overlap. "Too few to say" means that these test photos cannot show
# that the network is better than that. On the painted sample even a body with random weights gets almost everything
# right: the bears differ in colour, and random layers let colour through. So a high number alone proves nothing.
#
# ## Which classes are confused

# %%
class_names = result["class_names"]
figure = plots.confusion(test, class_names, result["notice"])

# %% [markdown]
# **What to see.** Each row is a true class and each column a predicted class. The diagonal counts the right
# predictions; every other cell counts mistakes.
#
# The most frequent mistakes, also in `confusions.csv`:

# %%
confusions = metrics.confusions(test, class_names)
Markdown(metrics.confusion_table(confusions[:10]) if confusions else "No test photo is predicted as a wrong class.")

# %% [markdown]
# The next cell prints two shares per class. *Precision*: of the photos predicted as this class, how many belong to it?
# *Recall*: of the photos of this class, how many were predicted as it?

# %%
for class_name in class_names[:30]:  # metrics.json has all
    values = test["per_class"][class_name]
    for quantity in ("precision", "recall"):
        share, (low, high) = values[quantity], values[f"{quantity}_interval"]
        text = "no photo predicted" if share is None else f"{share:.1%} ({low:.1%} to {high:.1%})"
        print(f"{shorten(class_name, 24):>12} {quantity:>9}: {text}")
    print(f"{shorten(class_name, 24):>12}        F1: {values['f1'] or 0:.1%}")

# %% [markdown]
# ## Does a probability mean what it says?
#
# Of all photos with a probability of 90 %, nine in ten should be right. Networks are often too sure. So all logits are
# divided by a *temperature*, found on photos that the head was not trained on. It changes no prediction.

# %%
before = result["calibration"]["before"]["test"]
figure = draw_reliability(before, test, result["notice"])

# %% [markdown]
# **What to see.** On the light diagonal, confidence and accuracy agree. Below it, the classifier is too sure; above it,
# not sure enough. The thin lines are 95 % intervals: with few photos in a bin, a point may lie anywhere on its line.
# The bars below count the photos. The *calibration error* is the mean distance from the diagonal, over photos.

# %%
low, high = result["calibration"]["interval"]
Markdown(
    f"The temperature of this run is {result['calibration']['temperature']:.2f} (95 % interval {low:.2f} to "
    f"{high:.2f}; above 1: too sure before). The calibration error of the test is {before['ece']:.3f} before and "
    f"{test['ece']:.3f} after it."
)

# %% [markdown]
# ## The most difficult test photos

# %%
predictions = artifacts.predictions(current_run)
hardest = predictions.of_split("test").worst(6)
title = f"The {len(hardest)} test photos with the lowest probability for their true class"
figure = artifacts.prediction_figure(current_run, hardest, title)

# %% [markdown]
# **What to see.** The photos are sorted by the probability of their true class, lowest first. Mistakes come first,
# followed by the right predictions with the lowest confidence. Difficult photos often show the animal small, cropped or
# in unusual light. A wrong label shows up here as well.
#
# Why did they get these classes?

# %%
if current_run.path("figures/reasons.png").is_file():  # else a warning above says why not
    figure = reasons.draw_predictions(current_run, hardest)

# %% [markdown]
# **What to see.** In the second column, orange places speak for the predicted class and blue ones against it. Beside it
# are the training photos with the most similar features, and their classes. 07_predict explains both.

# %% [markdown]
# ## Are the labels right?
#
# A wrong label costs twice: it teaches a mistake, and it counts as one in the test. So every photo of the run, training
# photos too, is predicted by heads that were trained without it. Photos that look like another class are in
# `labels.csv`, and so are near-duplicates with different labels, and the one photo in a hundred that looks least like
# all others.

# %%
doubtful = suspects.read_suspects(current_run)
Markdown(suspects.sentence(current_run))

# %%
Markdown(suspects.table(doubtful[:10])) if doubtful else None

# %%
if doubtful:
    figure = suspects.draw_suspects(current_run, doubtful[:6])

# %% [markdown]
# **What to see.** The most suspect photo comes first; photos that look like no other come last in `labels.csv`. Each
# title has the label and what speaks against it. Decide by looking: is the label wrong, or only the photo difficult? A
# low probability is a hint, not a proof. 02_augment shows the same photos first and saves your corrections.

# %% [markdown]
# ## Is colour alone enough?
#
# A classifier can be right for a wrong reason: polar bears often stand in snow. So we train a logistic regression on
# numbers that say nothing about the shape of a bear: the colours of the whole photo, the colours of its border, the
# size of the image, and the size of the file.

# %%
figure = plots.cue_accuracies(current_run.table("cues.csv"), result["notice"])

# %% [markdown]
# **What to see.** Each bar is the accuracy from one cue alone, with its interval. The orange line is the accuracy of
# the head on the body's features. If a cue comes within five percentage points of it, the run warns: this test cannot
# show that the network recognizes more than that cue. On the painted sample, colour alone gets far because the bears
# differ in colour.

# %%
print("\n".join(current_run.facts("audit")["warnings"]) or "No cue comes within five points of the body's accuracy.")

# %% [markdown]
# ## Check the counts
#
# We count the errors again, directly from the table of predictions.

# %%
for split in ("test", "val"):
    rows = predictions.of_split(split).rows
    assert len(rows) == result[split]["count"]
    assert count_errors(rows) == result[split]["errors"]

# %% [markdown]
# **What we learned.** An accuracy needs its number of photos, its interval, and something simple to compare it with. A
# probability needs a check, too. We also know which photos are difficult and how far simple cues get. Everything is
# saved in `metrics.json` and `figures/` of the run.
#
# Next: [07_predict](07_predict.ipynb) classifies photos of your own.
