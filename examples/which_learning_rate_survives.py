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
# # Which learning rate survives?
#
# A sweep of learning rates over four widths, in the standard parametrisation (`sp`) and in mup: which learning rate to
# use at a larger width, and what breaks first there. Then a run in progress: what warns before the loss does.

# %%
import numpy as np

import scalefit as sf
from scalefit.plots import plot_forecast, plot_lr_transfer
from scalefit.transfer import backtest_transfer
from scalefit.transfer.boundary import backtest_divergence
from scalefit.transfer.sweeps import read_sweeps

# %% [markdown]
# Read the logs. For your own a table of (width, lr, loss) is enough: `sf.read_runs("runs.csv", need=())`; a loss of
# `nan` is a run that diverged.

# %%
runs = sf.load("lr_width")
runs.table.pivot_table(index="lr", columns=["parametrization", "d_model"], values="loss").loc[1e-3:0.05].round(3)

# %% [markdown]
# The best learning rate of each width with its 90 % interval, and the learning rate for width 256. `sp` needs half the
# learning rate at twice the width; in `mup` the best one stays.

# %%
found = sf.lr_transfer(runs, target=256, draws=100)
found.table[["arm", "size", "lr", "low", "high", "loss", "lr_sensitivity"]].round(4)

# %%
for arm in found.arms:
    at = arm.at(256)
    print(f"{arm.name}: {arm.drift.value:+.2f} octaves per doubling; {arm.verdict.split(':')[0]}")
    print(f"    at width 256: {at.value:.4f} [{at.low:.4f}, {at.high:.4f}]")

# %%
ax = plot_lr_transfer(found)
ax.figure.savefig("which_learning_rate_survives.png", dpi=120)

# %% [markdown]
# Would that have worked? Hold the largest width out and predict it from the others. `regret` is the loss at the
# predicted learning rate over the least loss, minus 1; `noise` is the standard error of a loss.

# %%
backtest_transfer(runs, draws=100).set_index("arm")[["lr", "low", "high", "least_at", "regret", "noise"]].round(4)

# %% [markdown]
# What breaks at a large learning rate? In `sp`, from the three smaller widths, at the size of the held-out one, and
# beside it what was measured there. The log has no sharpness, so there is no forecast of that.

# %%
sp = runs.table[runs.table["parametrization"] == "sp"]
small, large = sp[sp["d_model"] < 128], sp[sp["d_model"] == 128]
size, lr = float(large["N"].iloc[0]), 0.0625
forecasts = sf.forecast(small, size, lr)
measured = large[np.isclose(large["lr"], lr)].mean(numeric_only=True)
table = forecasts.table.set_index("forecast")[["value", "low", "high", "limit", "probability"]]
table = table.drop(index="largest stable learning rate")
table["measured"] = table.index.map({each.name: measured[each.column] for each in forecasts.found})
table.map("{:.3g}".format)

# %%
forecasts.missing

# %%
ax = plot_forecast(small, "largest attention logit", size, [0.0078125, 0.0625], held=large)
# %% [markdown]
# Which learning rates diverge at the held-out width, by a line through the boundaries of the smaller ones? This needs
# no probe, only losses.

# %%
stable = forecasts.boundary.at(size)
print(f"largest stable learning rate: {stable.value:.2f} [{stable.low:.2f}, {stable.high:.2f}]")
judged = backtest_divergence(read_sweeps(sp))
print(f"{len(judged.table)} learning rates, {judged.table['seen'].sum()} diverge: ", end="")
print(f"precision {judged.precision:.2f}, recall {judged.recall:.2f}")

# %% [markdown]
# A run in progress whose learning rate rises too far, as its log looks at three moments. The attention logit warns long
# before the loss is lost.

# %%
log = sf.load("divergence").curves
log = log[log["run"].astype(str) == "lr-2"]
for step in (50, 150, 300):
    seen = sf.watch(log[log["step"] <= step], steps=400)
    first = f"; first warning: {seen.first.signal} {seen.first.text}" if seen.first else ""
    print(f"step {step}: loss {log.loc[log['step'] <= step, 'loss'].iloc[-1]:.2f}, {seen.status}{first}")

# %% [markdown]
# **Change one line, rerun:** set `lr` to the learning rate that you would like to use, and read your own sweep:
# `sf.read_runs("sweep.csv", rename={"width": "d_model"})`.
