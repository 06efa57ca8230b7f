# %% [markdown]
# # 5. Train: a new last layer
#
# **Before you start:** run [01_fetch](01_fetch.ipynb), [03_split](03_split.ipynb) and [04_restore](04_restore.ipynb)
# with the same `run`, or run `make train`.
#
# **You will learn** how to train a classifier on the features of a frozen network, how to choose its features and its
# weight decay without touching the test, how to read learning curves, and how to find a learning rate.
#
# The body turns a photo into features: 2,048 numbers from its last block, and 4,096 more from three blocks before it. A
# new layer with a softmax, the *head*, turns them into one probability per class. We train only the head.
#
# The body never changes, so each view of a photo goes through it **once**. The features are cached on disk, and
# training the head on them takes seconds. The article sent every photo through the body again at each step.

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
run = "runs/sample"  # the folder that 04_restore wrote to
seed = 0  # seed of every random choice
train_views = 1  # random views per training photo; 0: train on the center view
features = "auto"  # last: of the last block; depths: of four blocks; auto: the better of the two on folds
optimizer = "lbfgs"  # lbfgs: the optimum, with weight decay chosen on folds; adam: small steps, early stopping
epochs = 200  # largest number of epochs
patience = 20  # adam: stop after this many epochs without a lower validation loss
batch_size = 40  # adam: photos per training step
learning_rate = 0.003  # adam: step size
label_smoothing = 0.0  # share of each target that is spread evenly over all classes; 0: off
mixup = 0.0  # adam: mix the features of two photos by shares from Beta(mixup, mixup); 0: off
class_weights = "none"  # balanced: every class has the same total weight in training

# %%
import numpy as np
from IPython.display import Markdown

from bears_tl.judging import plots, study_plots
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

knobs = {"features": features, "optimizer": optimizer, "epochs": epochs, "patience": patience}
knobs |= {"batch_size": batch_size, "learning_rate": learning_rate}
knobs |= {"label_smoothing": label_smoothing, "mixup": mixup, "class_weights": class_weights}
current_run = Run.open_or_start(run, seed=seed, train_views=train_views, **knobs)

# %% [markdown]
# We keep the features of four photos, to check at the end that training did not change the body.

# %%
body = artifacts.load_body(current_run)
pixels = artifacts.draw_pixels(current_run, 4)
before = body.infer(pixels)

# %% [markdown]
# ## Compute the features once

# %%
tables = stages.features(current_run, body)
for split, table in tables.items():
    print(f"{split:>5}: {table.shape[0]} photos x {table.shape[1]} views x {table.shape[2]} features")
print(f"{current_run.seconds()['features']:.1f} s. The next time, they come from {artifacts.cache_folder()}.")

# %% [markdown]
# ## Train the head

# %%
head, history = stages.train(current_run, tables)
count, classes = head.kernel.shape
print(f"{count:,} weights and a bias for each of {classes} classes: {head.parameters:,} parameters")
print(f"{len(history)} epochs; with all choices below, training took {current_run.seconds()['train']:.1f} s")
assert head.parameters == (count + 1) * classes

# %% [markdown]
# ## Which features, how much weight decay
#
# With more features than photos, a head can learn every training photo by heart. *Weight decay* keeps its weights
# small. How small is best, and whether the earlier blocks help, is tried on the training photos alone. They are divided
# into five folds, and each fold is predicted by a head trained on the other four. Near-duplicates share a fold.

# %%
figure = plots.fold_trials(current_run.facts("train")["trials"], current_run.notice())

# %% [markdown]
# **What to see.** One line per kind of features; lower is better. On the left, too much weight decay makes the head
# undecided. On the right, too little lets it learn photos by heart. The ringed point is chosen. If both lines nearly
# touch, the earlier blocks bring nothing for these photos, and the last block alone is enough.

# %%
facts = current_run.facts("train")
Markdown(
    f"This run uses the features `{facts['features']}` and a weight decay of {facts['weight_decay']:g}. "
    f"{len(facts['trials'])} choices were tried. (Adam tries none, and uses early stopping instead of weight decay.)"
)

# %% [markdown]
# ## Learning curves

# %%
figure = plots.learning_curves(history, current_run.notice())

# %% [markdown]
# **What to see.** Both losses fall, then level off. L-BFGS walks to the single best set of weights and stops there; the
# validation loss (orange) decides nothing. It may rise a little near the end, because weight decay was chosen on other
# photos. With `optimizer = "adam"` training stops after `patience` epochs without a new low of the validation loss, and
# the weights of that low (dashed line) are kept.

# %%
losses = [row["val_loss"] for row in history]
Markdown(
    f"This run trained for {len(history)} epochs. The validation loss went from {losses[0]:.2g} to {losses[-1]:.2g} "
    f"nats; its lowest value was {min(losses):.2g}."
)

# %% [markdown]
# ## Find a learning rate
#
# Adam, which the article used, needs a learning rate; L-BFGS finds its own steps. The range test of Leslie Smith trains
# a new head with Adam for up to 100 steps. Each step uses a learning rate 1.2 times the one before. The test ends when
# the smoothed loss exceeds four times its lowest value.

# %%
tested = stages.find_learning_rate(current_run, tables)
suggestions = {"steepest fall": tested.steepest, "a tenth of the minimum's rate": tested.tenth_of_minimum}
note = current_run.notice()
figure = study_plots.learning_rate_range(tested.learning_rates, tested.losses, tested.smoothed, suggestions, note)

# %% [markdown]
# **What to see.** On the left, the steps are too small to change the loss. Then the loss falls. Further right, it
# usually jumps because the steps are too large. A good learning rate lies where the loss falls, clearly below the rate
# of the minimum. The two orange lines are rules of thumb for it. The smoothed loss lags behind, so both lines lie a
# little too far to the right.
#
# If the photos are few or easy to tell apart, the loss may never jump. Then its minimum is at the end of the range, and
# the second rule is of no use. The default of 0.003 comes from training with many seeds, not from these rules.

# %%
assert tested.learning_rates.max() > current_run.config.learning_rate, "the loss diverged below this run's rate"
Markdown(
    f"The rules suggest {tested.steepest:.2g} and {tested.tenth_of_minimum:.2g}; "
    f'the setting is {current_run.config.learning_rate:g}, used by `optimizer = "adam"`.'
)

# %% [markdown]
# ## Would another choice help?
#
# `bears compare` answers that over several seeds, by the validation loss and not by the test:
#
#     .venv/bin/bears compare --try optimizer=adam --try features=last --seeds 5 --to heads.csv
#
# ## The body did not change
#
# All weights of the body are constants, so training cannot change them. The same photos have the same features as
# before:

# %%
after = body.infer(pixels)
assert np.array_equal(before, after)

# %% [markdown]
# ## The same seed gives the same bits

# %%
again, _ = stages.train(current_run, tables)
assert np.array_equal(head.kernel, again.kernel)
assert np.array_equal(head.bias, again.bias)

# %% [markdown]
# **What we learned.** A head with a few thousand parameters trains in seconds on cached features, and the result is
# repeatable. Whether it is good is decided by the test photos.
#
# Next: [06_evaluate](06_evaluate.ipynb) judges the head on the test photos.
