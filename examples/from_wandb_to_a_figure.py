# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From W&B to a figure
#
# A chart that was exported from W&B as CSV holds one column for each run, with its minimum and maximum. It is read as
# it is. The file below stands for such an export; with the extra `wandb`, `sf.read_runs("wandb:entity/project/run")`
# reads a run from the server.

# %%
import numpy as np
import pandas as pd

import scalefit as sf
from scalefit.plots import save_figure, styled

FILE, SCHEDULE = "wandb_export.csv", "cosine:peak_lr=8e-3,steps=1600,warmup=100"

# %%
known = sf.load("schedules").where("d_model == 96 and schedule == 'cosine-1600'").curves
export = pd.DataFrame({"Step": known["step"], "my-run - train/loss": known["loss"]})
for end in ("__MIN", "__MAX"):
    export[f"my-run - train/loss{end}"] = known["loss"]
export[export["Step"] <= 1200].to_csv(FILE, index=False)

# %% [markdown]
# Read it. The learning rate is not in the chart, so it is given as the schedule of the run.

# %%
run = sf.read_runs(FILE, schedule=SCHEDULE)
sf.inspect(run)

# %% [markdown]
# The run is at step 1,200 of 1,600. Is it healthy, and where will it end?

# %%
sf.watch(run, steps=1600)

# %%
forecast = sf.predict_partial(run, schedule=SCHEDULE)
forecast

# %% [markdown]
# The figure for a paper: 3.25 inches wide, letters of 8 points, texts that can be edited.

# %%
with styled("paper", 3.25):
    save_figure(forecast.plot(), "from_wandb_to_a_figure.png")

# %% [markdown]
# It ended at the loss below.

# %%
print(f"measured at the end: {np.asarray(known['loss'])[-1]:.4f}")

# %% [markdown]
# **Change one line, rerun:** set `FILE` to your export and `SCHEDULE` to its learning rate.
