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
# # A schedule for a budget of steps
#
# Curves of one model under a few schedules say which schedule would end lowest after a given number of steps, and how
# long its decay should be, as far as a law along the run can be trusted. Here four short runs are fitted.

# %%
import scalefit as sf

STEPS = 2400

# %%
runs = sf.load("schedules").where("d_model == 96 and steps <= 1600")
fit = sf.fit(runs, "annealing:decay=0.99", draws=100, seed=0)
fit

# %% [markdown]
# Rank the usual schedules at the same number of steps. The intervals are of differences: two schedules share the errors
# of the law.

# %%
ranking = sf.rank_schedules(fit, steps=STEPS, warmup=100)
ranking

# %%
ax = ranking.plot()
ax.figure.savefig("schedule_for_a_budget.png", dpi=150)

# %% [markdown]
# How long should the decay be? A range is searched.

# %%
sf.rank_schedules(fit, "wsd:decay=5%..80%", steps=STEPS, warmup=100)

# %% [markdown]
# **Change one line, rerun:** set `STEPS` to your budget. With your own curves: `sf.read_runs("runs.csv")` where the log
# holds the learning rate, or `sf.read_runs("runs.csv", schedule="cosine:peak_lr=3e-4,steps=60000,warmup=1000")`.
