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
# # Predict a larger model
#
# Forty-eight runs: six model sizes, four amounts of data, two seeds. The five smaller sizes are fitted, the largest is
# predicted. The law is
#
#     L(N, D) = E + A N^-alpha + B D^-beta
#
# with N parameters and D training tokens (arXiv:2203.15556).

# %%
import scalefit as sf

# %% [markdown]
# Read the results. For your own: `sf.read_runs("runs.csv", rename={"params": "N", "tokens": "D"})`; values such as
# `1.3B` are read.

# %%
runs = sf.load("size_data")
runs.table.pivot_table(index="N", columns="D", values="loss").round(3)

# %% [markdown]
# Hold out the largest model, and fit the others.

# %%
small, large = runs.hold_out("d_model > 64")
fit = sf.fit(small, "chinchilla", draws=200, seed=0)
fit

# %% [markdown]
# The intervals are wide: five sizes over little more than a decade leave the irreducible loss E almost open. The
# prediction nearby is far better known than the constants. The held-out model is 2.2 times the largest one fitted.

# %%
fit.score(large).round(4)

# %%
fit.predict(large)[["N", "D", "loss", "low", "high", "measured", "relative_error", "decades_beyond"]].round(4)

# %% [markdown]
# The errors are not scattered: the law lies below the runs on little data and above those on much. At this scale the
# two terms are not independent, a larger model also learns more from the same tokens.

# %%
ax = fit.plot(large, N="1M", D="10M")
ax.figure.savefig("predict_a_larger_model.png", dpi=150)

# %% [markdown]
# How far can it be trusted? Fit the smaller runs, predict the larger ones, again and again, and look at the errors by
# distance in compute. The star above is at thirty times the compute of the largest run: expect the last line or worse,
# whatever the interval says.

# %%
sf.backtest(runs, "chinchilla").summary.round(3)

# %% [markdown]
# Another law, in which one bottleneck lies inside the other, errs less in such back-tests. On the one size that is held
# out here (`judge_error`) it errs more: one size is one observation, the back-tests are many.

# %%
sf.compare(small, ["chinchilla", "kaplan-floor"], judge=large).table.round(4)

# %% [markdown]
# The fit is plain JSON; a saved one predicts as before.

# %%
again = sf.load_fit(fit.save("predict_a_larger_model.json"))
assert again.parameters == fit.parameters

# %% [markdown]
# **Change one line, rerun:** hold out two sizes instead of `"d_model > 64"`, and see whether the errors grow as the
# intervals do. With your own table: `sf.read_runs("runs.csv", rename={"val_loss": "loss"})`.
