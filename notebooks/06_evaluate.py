# %% [markdown]
# # 6. Evaluate: how good is it, and how sure are we
#
# The test photos took no part in training or in the choice of when to stop. A share of so few photos is itself
# uncertain, so it comes with its count and a 95 % interval (Wilson's).

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

# %%
from bears_tl.judging import metrics, plots
from bears_tl.judging.predictions import worst
from bears_tl.pipeline import artifacts, stages
from bears_tl.pipeline.run import Run

current_run = Run.open_or_start(run)
result = stages.evaluate(current_run)
print("test:", metrics.sentence(result["test"]))
print("val: ", metrics.sentence(result["val"]))
print(result["notice"])

# %% [markdown]
# **What to see.** The interval is the honest part. With 24 photos and no error it still reaches down to 86 %: no
# error in a small test does not mean no errors. The article's 98.92 % was a mean over ten unequal batches of randomly
# cropped photos, without an interval.
#
# ## Which class is taken for which

# %%
class_names = result["class_names"]
figure = plots.confusion(result["test"], class_names, result["notice"])

# %% [markdown]
# **What to see.** A row is a true class, a column what was predicted; everything off the diagonal is a mistake.

# %%
for class_name, values in result["test"]["per_class"].items():
    for quantity in ("precision", "recall"):
        share, (low, high) = values[quantity], values[f"{quantity}_interval"]
        text = "none predicted" if share is None else f"{share:.1%} ({low:.1%} to {high:.1%})"
        print(f"{class_name:>12} {quantity:>9}: {text}")

# %% [markdown]
# *Precision*: of the photos called this class, how many are. *Recall*: of the photos of this class, how many were
# called so.
#
# ## The worst

# %%
tests = [row for row in current_run.table("predictions.csv") if row["split"] == "test"]
figure = artifacts.prediction_figure(current_run, worst(tests, class_names, 6))

# %% [markdown]
# **What to see.** The six test photos whose true class got the least probability: the mistakes first, then the narrow
# escapes. Bears that are small, cut off or oddly lit are usual; a wrong label shows here as well.

# %% [markdown]
# ## Does colour alone do it?
#
# A classifier can be right for a wrong reason: polar bears lie on snow. So a layer like the head is trained on what has
# nothing to do with bears: colours, the border, the size of image and file.

# %%
print("\n".join(result["warnings"]) or "No cue comes near.")
figure = plots.cue_accuracies(current_run.table("cues.csv"), result["notice"])

# %% [markdown]
# **What to see.** How far each cue gets, with its interval; the line is the body's accuracy. A cue within five points
# of it is a warning: this test cannot tell seeing bears from seeing that cue. On the painted sample colours come far,
# for its bears differ in colour.

# %%
for name, rows in (("test", tests), ("val", [r for r in current_run.table("predictions.csv") if r["split"] == "val"])):
    errors = sum(row["predicted"] != row["class_name"] for row in rows)
    assert (errors, len(rows)) == (result[name]["errors"], result[name]["count"])

# %% [markdown]
# **What we learned.** A figure, its count and its interval, and where it fails. All of it is in `metrics.json` and
# `figures/` of the run. On to `07_predict`.
