# %% [markdown]
# # 7. Predict: use the classifier
#
# Six random photos of the test, as in the article, and then any photo you like.

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
run = "runs/sample"  # the folder that 05_train wrote to
seed = 0  # another seed, six other photos

# %%
from bears_tl.judging.predictions import class_names_of, probabilities_of
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor, find_photos

current_run = Run.open_or_start(run, seed=seed)
tests = [row for row in current_run.table("predictions.csv") if row["split"] == "test"]
six = artifacts.draw(current_run, tests, 6)
figure = artifacts.prediction_figure(current_run, six)
print(current_run.notice())

# %% [markdown]
# **What to see.** Above each photo its true class, below it a bar a class; the orange one is the prediction.
#
# ## Your own photos
#
# Put the path of a photo or of a folder into `mine`. Here it points at the six photos from above, so that we can
# check that a photo alone gets what it got in the test: the same code reads, scales and judges it.

# %%
mine = [artifacts.photo_folder(current_run) / row["path"] for row in six]
predictor = Predictor.load(current_run)
predictions, unreadable = predictor.predict(find_photos(mine))
for row in predictions:
    print(f"{row['path'].rsplit('/', 1)[-1]}: {row['predicted']}")

# %%
class_names = class_names_of(six)
difference = abs(probabilities_of(predictions, class_names) - probabilities_of(six, class_names)).max()
print(f"Largest difference to the test's probabilities: {difference:.1e}")
assert difference < 1e-4 and not unreadable

# %% [markdown]
# A softmax must choose one of the classes it knows: a photo of a cat gets a bear's name too, and often a high
# probability. It says which class fits best, not whether any does.
#
# **What we learned.** The classifier takes any photo, the same way it was tested. From the command line: `bears predict
# FILE --run RUN`; with `--model mixed_7c` or `--model scratch` it is what 08_beyond trained that predicts.
