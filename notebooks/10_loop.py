# %% [markdown]
# # 10. Loop: photos, answers, corrections, a better head
#
# **Before you start:** run the notebooks from [01_fetch](01_fetch.ipynb) to [06_evaluate](06_evaluate.ipynb) with the
# same `run`, or run `make train`.
#
# **You will learn** how to sort new photos into folders, which of them to look at first, and how a few corrections make
# the classifier better.
#
# Labels cost time. So a classifier is best trained in a loop: it sorts new photos and sets aside those of which it is
# not sure. You look only at these, and train again with them. Because features are cached, that takes seconds.
#
# This notebook goes through the loop once, **on a copy** of the run's photos. Only a quarter of the training photos
# have a label at first. The others serve as new photos. Your photo folder and your run do not change.

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

# %%
from collections import Counter

from bears_tl.judging.metrics import wilson_interval
from bears_tl.judging.names import visible
from bears_tl.judging.predictions import count_errors
from bears_tl.photos.edits import add_edit, read_edits
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run
from bears_tl.serving import loop, sorting
from bears_tl.serving.cleaner import Cleaner
from bears_tl.serving.predictor import Predictor

# %% [markdown]
# ## A copy to work on
#
# Of many photos only some are copied. Each time this cell runs, the copy starts anew.

# %%
current_run = Run.open_or_start(run)
current_run.check("evaluate")
folder = current_run.path("loop")
truths = loop.divide(current_run, folder)
print(current_run.notice())
print(f"{len(truths)} photos in {folder / 'new'} have no label")

# %% [markdown]
# ## The first head
#
# It is trained on the few labelled photos. The test photos are those of the run; they stay the same to the end.

# %%
before = loop.train(current_run, folder, "before")
predictor = Predictor.load(before)
first_test = artifacts.predictions(before).of_split("test")
print(f"{len(artifacts.split_rows(before)['train'])} training photos")
print(f"{count_errors(first_test.rows)} of {len(first_test)} test photos are wrong")

# %% [markdown]
# ## Sort the new photos
#
# `bears sort FOLDER --run RUN --to OUT` does this on the command line. Each photo is copied into the folder of its
# class, with two exceptions:
#
# - `not_one_of_these` gets photos that are not like the training photos (see notebook 07).
# - `unsure` gets photos whose class has too low a probability.
#
# What is too low? An answer is *sure* if its probability reaches the accuracy that the run can vouch for: the lower end
# of the interval of its accuracy on photos that were held out. So an unsure answer is wrong more often than answers are
# in general. Nobody has to choose a number.

# %%
out = folder / "sorted"
rows = list(sorting.sort(before, predictor, folder / "new", out))
print(f"sure from {sorting.sure_from(before):.1%} on")
for name, count in sorted(Counter(row["sorted_to"].split("/")[0] for row in rows).items()):
    print(f"{visible(name):>20}: {count}")

# %% [markdown]
# `answers.csv` in that folder has all answers. A run that was interrupted goes on from there, and no file is replaced.
#
# Here we know the true classes, so we can check where the mistakes are.

# %%
wrong_in = Counter()
seen_in = Counter()
for row in rows:
    place = row["sorted_to"].split("/")[0]
    kind = place if place in ("unsure", "not_one_of_these") else "class folders"
    seen_in[kind] += 1
    wrong_in[kind] += row["predicted"] != next(truths[name] for name in truths if name[:16] in row["path"])
for kind, count in seen_in.items():
    print(f"{kind}: {wrong_in[kind]} of {count} predicted classes are wrong")

# %% [markdown]
# ## Look at the unsure photos
#
# The most useful ones come first: those where the best class leads the second best by the least. Each photo has the
# predicted class. If it is wrong, choose the right one and press *Save corrections*.

# %%
unsure = sorting.unsure_first(predictor, out)
Cleaner(before, unsure, out)

# %% [markdown]
# When this notebook runs without you, the classes that we know answer in your place. What you have saved above stays.

# %%
corrections = before.config.edits
saved = {row["sha256"] for row in read_edits(corrections)}
wrong = [row for row in unsure if row["label"] != truths[row["sha256"]] and row["sha256"] not in saved]
for row in wrong:
    add_edit(corrections, row["sha256"], row["label"], truths[row["sha256"]], "10_loop")
print(f"{len(unsure)} photos looked at, {len(read_edits(corrections))} corrected")

# %% [markdown]
# ## Bring them back and train again
#
# The photos that were looked at go into the copy of the photo folder, each into the folder of its predicted class. The
# corrections are applied at the next intake, as in notebook 01: no file moves because of them. The photos in the class
# folders stay where they are, because nobody has looked at them.

# %%
new_paths = sorting.bring_back(out, unsure, folder / "photos/train")
after = loop.train(current_run, folder, "after")
seconds = after.seconds()
print(f"{len(new_paths)} photos more; training again took {seconds['features'] + seconds['train']:.1f} s")

# %%
for name, one in (("before", before), ("after", after)):
    test = artifacts.predictions(one).of_split("test")
    errors, trained = count_errors(test.rows), len(artifacts.split_rows(one)["train"])
    low, high = wilson_interval(len(test) - errors, len(test))
    print(f"{name:>7}: {trained} training photos, {errors} of {len(test)} test photos wrong, ", end="")
    print(f"accuracy {1 - errors / len(test):.1%} ({low:.1%} to {high:.1%})")
assert len(artifacts.split_rows(after)["train"]) > len(artifacts.split_rows(before)["train"]) or not new_paths

# %% [markdown]
# **What to see.** The same test photos are judged twice. If the intervals overlap widely, this test is too small to
# show a difference; the painted sample is so easy that the first head may already be right everywhere. With more new
# photos, the loop starts again.
#
# ## Your own photos
#
# Sort them with `bears sort my_photos --run RUN --to sorted`, then name that folder here. The widget writes your
# corrections to the run's table, `edits`. After that, `sorting.bring_back(mine, unsure, PHOTO_FOLDER)` copies the
# photos that you looked at into your photo folder, and `make train RUN=...` trains again.

# %%
mine = ""  # for example "sorted"

# %%
own = sorting.unsure_first(Predictor.load(current_run), mine) if mine else []
Cleaner(current_run, own, mine or None)

# %% [markdown]
# **What we learned.** A classifier that says when it is not sure saves work twice: its sure answers need no look, and
# its unsure ones are the photos that teach it most.
#
# This is the last notebook. [docs/article.md](../docs/article.md) sums up the comparison with the article,
# [docs/results.md](../docs/results.md) has the results on real photos, and [docs/photos.md](../docs/photos.md) shows
# how to train on photos of your own.
