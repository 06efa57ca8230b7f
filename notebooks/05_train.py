# %% [markdown]
# # 5. Train: a new last layer
#
# The body turns a photo into 2,048 numbers. A new layer with a softmax turns those into a probability for each class;
# it is all that we train: 2,048 x 3 weights and 3 biases, 6,147 parameters for three classes.
#
# The body never changes, so each photo goes through it **once**. The features are kept on disk; training the head on
# them takes seconds. The article sent every photo through the body again at each step.

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
run = "runs/sample"  # the folder that 04_restore wrote to
seed = 0  # every random choice follows from it
train_views = 1  # random views of each training photo; 0: train on the center view
epochs = 200  # training stops after this many, or earlier
patience = 20  # epochs without a lower validation loss before training stops
batch_size = 40  # photos a training step
learning_rate = 0.003  # Adam's step size
label_smoothing = 0.0  # share of each target that is spread evenly over all classes; 0: off
mixup = 0.0  # training features are mixed by shares from Beta(mixup, mixup); 0: off
class_weights = "none"  # balanced: in training, each class counts as much as any other

# %%
import numpy as np

from bears_tl.judging import plots
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

knobs = {"epochs": epochs, "patience": patience, "batch_size": batch_size, "learning_rate": learning_rate}
knobs |= {"label_smoothing": label_smoothing, "mixup": mixup, "class_weights": class_weights}
current_run = Run.open_or_start(run, seed=seed, train_views=train_views, **knobs)
body = artifacts.load_body(current_run)
pixels = np.stack(artifacts.pixels(current_run, artifacts.draw(current_run, current_run.table("splits.csv"), 4)))
before = body.infer(pixels)

# %% [markdown]
# ## Features: one pass, then the cache

# %%
features = stages.features(current_run, body)
for split, table in features.items():
    print(f"{split:>5}: {table.shape[0]} photos x {table.shape[1]} views x {table.shape[2]} features")
print(f"{current_run.seconds()['features']:.1f} s; a second time they come from {artifacts.cache_folder()}")

# %%
head, history = stages.train(current_run, features)
print(f"{head.parameters:,} parameters, {len(history)} epochs in {sum(row['seconds'] for row in history):.1f} s")
assert head.parameters == 2049 * len(head.class_names)

# %%
figure = plots.learning_curves(history, current_run.notice())

# %% [markdown]
# **What to see.** Both losses fall. Training goes on as long as the validation loss (orange) falls, and ends when it
# has not for `patience` epochs; the weights of its lowest point (dashed) are kept. Where the blue curve goes on
# falling and the orange one turns up, the head begins to learn the training photos by heart.
#
# ## Which learning rate
#
# The range test of Leslie Smith: a new head, a hundred steps, each with a learning rate 1.2 times the one before, until
# the loss is four times its best.

# %%
tested = stages.find_learning_rate(current_run, features)
suggestions = {"falls fastest": tested.steepest, "a tenth of the minimum's": tested.tenth_of_minimum}
note = current_run.notice()
figure = plots.learning_rate_range(tested.learning_rates, tested.losses, tested.smoothed, suggestions, note)
assert tested.learning_rates.max() > current_run.config.learning_rate, "the loss diverged before this run's rate"

# %% [markdown]
# **What to see.** On the left the steps are too small to change anything; then the loss falls; on the right it jumps
# up: the steps are too long. (On very few photos it may never.) A good learning rate lies where the loss falls, some
# way before the minimum. The two orange lines are rules of thumb for that place; the smoothed loss lags behind the
# steps, which draws both to the right. The default, 0.003, was not found by them but by training with many seeds.
#
# What more epochs change: early stopping ends training by itself. To train on regardless and compare the test lines:
#
#     for n in 10 30 100; do
#         bears train --config configs/sample.yaml --set epochs=$n --set patience=$n --run runs/epochs_$n | grep test:
#     done
#
# ## The body was not touched
#
# It is a graph of constants: there is nothing in it that training could change. It sees what it saw before.

# %%
assert np.array_equal(before, body.infer(pixels))

# %% [markdown]
# ## The same seed gives the same bits

# %%
again, _ = stages.train(current_run, features)
assert np.array_equal(head.kernel, again.kernel) and np.array_equal(head.bias, again.bias)

# %% [markdown]
# **What we learned.** A few thousand parameters on good features train in seconds, repeatably. Whether they are any
# good, the test photos will tell: on to `06_evaluate`.
