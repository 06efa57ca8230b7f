# %% [markdown]
# # 7. Predict: use the classifier
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [05_train](05_train.ipynb) with the same
# `run`, or run `make train`.
#
# **You will learn** how to classify any photo, and what the probabilities do and do not tell you.

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
run = "runs/sample"  # the folder that 05_train wrote to
seed = 0  # seed of every random choice

# %%
from bears_tl.judging.predictions import ROUNDING, largest_difference
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor, find_photos

# %% [markdown]
# ## Six random test photos
#
# The article ended with such a figure. Set another `seed` to see other photos.

# %%
current_run = Run.open_or_start(run, seed=seed)
tests = [row for row in current_run.table("predictions.csv") if row["split"] == "test"]
six = artifacts.draw(current_run, tests, 6)
figure = artifacts.prediction_figure(current_run, six, "Random test photos with their predictions")

# %% [markdown]
# **What to see.** Above each photo are its true and its predicted class. Below it is one bar per class with its
# probability; the predicted class is orange.
#
# ## Your own photos
#
# Put the path of a photo, or of a folder of photos, into the list `mine`. Here it holds the test photos from above, so
# that we can check the result.

# %%
mine = [artifacts.photo_folder(current_run) / row["path"] for row in six]
predictor = Predictor.load(current_run)
predictions, unreadable = predictor.predict(find_photos(mine))
for row in predictions:
    print(f"{row['path'].rsplit('/', 1)[-1]}: {row['predicted']}")

# %% [markdown]
# The same code reads, scales and classifies a photo here and in the test. So the probabilities agree, up to rounding:

# %%
difference = largest_difference(predictions, six)
print(f"Largest difference from the probabilities in the test: {difference:.1e}")
assert difference < ROUNDING and not unreadable

# %% [markdown]
# The model must choose a known class: a cat gets a bear's name, often with high confidence. The probabilities tell you
# which class fits best, not whether any class fits.
#
# On the command line, `bears predict FILE --run RUN` does the same. After notebook 08, `--model mixed_7c` and
# `--model scratch` use the models that it trained.
#
# **What we learned.** The classifier accepts any photo and treats it exactly as it treated the test photos.
#
# Next: [08_beyond](08_beyond.ipynb) tries what could improve the classifier.
