# %% [markdown]
# # 7. Predict: use the classifier
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [05_train](05_train.ipynb) with the same
# `run`, or run `make train`.
#
# **You will learn** how to classify any photo, and what the probabilities do and do not tell you.

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
seed = 0  # seed of every random choice

# %%
from itertools import islice

import numpy as np

from bears_tl.files import sha256_of
from bears_tl.judging import plots
from bears_tl.judging.names import visible
from bears_tl.judging.predictions import ROUNDING, probabilities_of
from bears_tl.pipeline import artifacts, reasons
from bears_tl.pipeline.run import Run
from bears_tl.serving.predictor import Predictor, find_photos

# %% [markdown]
# ## Six random test photos
#
# The article ended with such a figure. Set another `seed` to see other photos.

# %%
current_run = Run.open_or_start(run, seed=seed)
tests = artifacts.predictions(current_run).of_split("test")
six = artifacts.draw_predictions(current_run, tests, 6)
figure = artifacts.prediction_figure(current_run, six, "Random test photos with their predictions")

# %% [markdown]
# **What to see.** Above each photo are its true and its predicted class. Below it is one bar per class with its
# probability; the predicted class is orange. Of many classes, the five most probable ones and the true one have a bar.
#
# ## The same photos again
#
# The same code reads, scales and classifies a photo here and in the test. So the probabilities agree: to the last bit
# on the same machine, up to rounding on another.

# %%
predictor = Predictor.load(current_run)
paths = [artifacts.photo_folder(current_run) / row["path"] for row in six.rows]
again = probabilities_of(list(predictor.predict(paths)), six.class_names)
difference = abs(again - six.probabilities).max()
print(f"Largest difference from the probabilities in the test: {difference:.1e}")
assert difference < ROUNDING

# %% [markdown]
# ## Your own photos
#
# Set `mine` to a photo (`"photo.jpg"`), to a folder of photos, or to a list of both. Here it is the first of the six.

# %%
mine = str(paths[0])

# %%
answers = list(islice(predictor.predict(find_photos(mine)), 12))  # the first twelve are enough for a figure
for row in answers:
    if "error" in row:
        print(f"{row['path']} is not a readable photo: {row['error']}")
rows = [row for row in answers if "error" not in row]
assert rows, "none of these files is a readable photo"
pixels = [predictor.read(row["path"]) for row in rows]
notes = {"true": "", "false": "not like the training photos? "}
titles = [f"{visible(os.path.basename(row['path']))}\n{notes[row['known']]}{visible(row['predicted'])}" for row in rows]
shares = probabilities_of(rows, predictor.class_names)
figure = plots.predictions(pixels, titles, shares, predictor.class_names, current_run.notice(), "Your photos")

# %% [markdown]
# **What to see.** Below each photo is one bar per class, as above. Files that could not be read are named above the
# figure.
#
# The probabilities tell you which class fits best, not whether any class fits: a cat gets a bear's name, often with
# high confidence. So each photo is also compared with the training photos. Its *strangeness* is the mean cosine
# distance to the five nearest of them. About 5 % of photos that do show a known class are taken for strangers.

# %%
limit = current_run.facts("train")["strangers"]["threshold"]
for row in rows:
    answer = "like the training photos" if row["known"] == "true" else "not like the training photos"
    print(f"{visible(os.path.basename(row['path']))}: strangeness {float(row['strangeness']):.3f}, {answer}")
print(f"A photo is known up to {limit:.3f}.")

# %% [markdown]
# ## Why?
#
# A feature is the mean of a map over the places of a photo, and the head is linear. So the logit of a class is the mean
# of a map, too, plus a constant. This *class activation map* says how much each place adds to the logit. It is computed
# only here, on demand. Softmax ignores what all logits share, so the mean map of all classes is subtracted.

# %%
views = np.stack(pixels)
maps = predictor.explain(views)
hashes = [sha256_of(row["path"]) for row in rows]
alike = reasons.nearest(current_run, predictor.features(views), hashes)

# %%
for row, near in zip(rows, alike, strict=True):
    same = sum(photo["class_name"] == row["predicted"] for photo in near)
    name, predicted = visible(os.path.basename(row["path"])), visible(row["predicted"])
    print(f"{name}: {predicted}, like {same} of the {len(near)} most similar training photos")
figure = reasons.draw(current_run, views, titles, maps, alike, "Where the class comes from, and similar photos")

# %% [markdown]
# **What to see.** In the second column, orange places speak for the predicted class and blue ones against it; places
# that show the grey photo do not matter. Is the orange on the subject, or on something beside it? A class that comes
# from the background may be wrong on other backgrounds. A map has 8 or 17 places per side, and each depends on more of
# the photo than it covers. So do not trust the borders of the colours.
#
# The other columns show the training photos with the most similar features, by their cosine (1 at most). The lines
# above the figure count how many of them have the predicted class. If none does, or if none looks like your photo, do
# not rely on the answer.
#
# On the command line, `bears predict FILE --run RUN` does the same for any number of photos. After notebook 08,
# `--model mixed_7c` and `--model scratch` use the models that it trained.
#
# **What we learned.** The classifier accepts any photo and treats it exactly as it treated the test photos.
#
# Next: [08_beyond](08_beyond.ipynb) tries what could improve the classifier.
