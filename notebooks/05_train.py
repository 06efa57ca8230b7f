# %% [markdown]
# # 5. Train: a new last layer
#
# **Before you start:** run [01_fetch](01_fetch.ipynb), [03_split](03_split.ipynb) and [04_restore](04_restore.ipynb)
# with the same `run`, or run `make train`.
#
# **You will learn** how to train a classifier on the features of a frozen network, how to read learning curves, and how
# to find a learning rate.
#
# The body turns a photo into 2,048 features. A new layer with a softmax, the *head*, turns them into one probability
# per class. We train only the head.
#
# The body never changes, so each view of a photo goes through it **once**. The features are cached on disk, and
# training the head on them takes seconds. The article sent every photo through the body again at each step.

# %% [markdown]
# *Setup for Colab. Elsewhere this only changes to the repository root.*

# %%
import os
import subprocess
import sys

if os.path.basename(os.getcwd()) == "notebooks":
    os.chdir("..")
elif "google.colab" in sys.modules and not os.path.isfile("bears_tl/cli.py"):
    if not os.path.isdir("bears_tl/notebooks"):
        address = input("Address of the bears_tl repository: ").strip()
        if subprocess.run(["git", "clone", "-q", "--", address, "bears_tl"]).returncode:
            raise RuntimeError(f"git could not clone {address!r}: check the address, then run this cell again")
    if subprocess.run([sys.executable, "-m", "pip", "install", "-q", "./bears_tl"]).returncode:
        raise RuntimeError("pip could not install bears_tl (see above): run this cell again")
    os.chdir("bears_tl")

# %% tags=["parameters"]
run = "runs/sample"  # the folder that 04_restore wrote to
seed = 0  # seed of every random choice
train_views = 1  # random views per training photo; 0: train on the center view
epochs = 200  # largest number of epochs
patience = 20  # stop after this many epochs without a lower validation loss
batch_size = 40  # photos per training step
learning_rate = 0.003  # step size of Adam
label_smoothing = 0.0  # share of each target that is spread evenly over all classes; 0: off
mixup = 0.0  # mix the features of two training photos by shares from Beta(mixup, mixup); 0: off
class_weights = "none"  # balanced: every class has the same total weight in training

# %%
import numpy as np
from IPython.display import Markdown

from bears_tl.judging import plots, study_plots
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

knobs = {"epochs": epochs, "patience": patience, "batch_size": batch_size, "learning_rate": learning_rate}
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
features = stages.features(current_run, body)
for split, table in features.items():
    print(f"{split:>5}: {table.shape[0]} photos x {table.shape[1]} views x {table.shape[2]} features")
print(f"{current_run.seconds()['features']:.1f} s. The next time, they come from {artifacts.cache_folder()}.")

# %% [markdown]
# ## Train the head

# %%
head, history = stages.train(current_run, features)
seconds = sum(row["seconds"] for row in history)
print(f"{len(history)} epochs in {seconds:.1f} s")
print(f"2,048 weights and a bias for each of {len(head.class_names)} classes: {head.parameters:,} parameters")
assert head.parameters == (2048 + 1) * len(head.class_names)

# %%
figure = plots.learning_curves(history, current_run.notice())

# %% [markdown]
# **What to see.** Both losses fall. Training continues while the validation loss (orange) reaches new lows. It stops
# after `patience` epochs without one, or after `epochs`. The weights from the epoch with the lowest validation loss
# (dashed line) are kept. If the training loss (grey) keeps falling while the validation loss rises, the head starts to
# memorize the training photos. The loss has a logarithmic axis, because it falls by orders of magnitude.

# %%
losses = [row["val_loss"] for row in history]
kept = int(np.argmin(losses))
Markdown(
    f"This run trained for {len(history)} epochs and kept the weights of epoch {history[kept]['epoch']}. "
    f"The validation loss fell from {losses[0]:.2g} to {losses[kept]:.2g} nats."
)

# %% [markdown]
# ## Find a learning rate
#
# The range test of Leslie Smith trains a new head for up to 100 steps. Each step uses a learning rate 1.2 times the one
# before. The test ends when the smoothed loss exceeds four times its lowest value.

# %%
tested = stages.find_learning_rate(current_run, features)
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
    f"this run uses {current_run.config.learning_rate:g}."
)

# %% [markdown]
# ## Would more epochs help?
#
# Training stops when the validation loss no longer falls (*early stopping*), so you need not choose. To see what it
# saves, run this in a terminal, in the root of the repository. It looks at the test photos several times, so it is for
# curiosity only: choose settings by the validation loss, never by the test.
#
#     for n in 10 30 100; do
#         .venv/bin/bears train --set epochs=$n --set patience=$n --run runs/epochs_$n | grep test:
#     done
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
again, _ = stages.train(current_run, features)
assert np.array_equal(head.kernel, again.kernel)
assert np.array_equal(head.bias, again.bias)

# %% [markdown]
# **What we learned.** A head with a few thousand parameters trains in seconds on cached features, and the result is
# repeatable. Whether it is good is decided by the test photos.
#
# Next: [06_evaluate](06_evaluate.ipynb) judges the head on the test photos.
