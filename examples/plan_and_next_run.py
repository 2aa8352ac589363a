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
# # The best size for a budget, and the run to make next
#
# A fit in size and data says how to divide a budget, how flat that optimum is, and which further run would narrow a
# forecast most.

# %%
import scalefit as sf

BUDGET = 1e12

# %%
runs = sf.load("size_data").where("seed == 0 and d_model <= 64")
fit = sf.fit(runs, "chinchilla", draws=100, seed=0)
plan = fit.plan(compute=BUDGET)
plan

# %%
ax = plan.plot()
ax.figure.savefig("plan_and_next_run.png", dpi=150)

# %% [markdown]
# Which runs would tell most about a model of 220,000 parameters, for a budget of two large runs?

# %%
target = {"N": 220e3, "D": 1.5e6}
following = sf.next_runs(fit, budget=2e12, runs=2, **target)
following

# %% [markdown]
# **Change one line, rerun:** set `BUDGET` to your FLOP. For hours of a GPU instead:
# `fit.plan(hours=1000, gpu="peak=1e15,mfu=0.4")`; for a loss to reach: `fit.plan(loss=1.4)`.
