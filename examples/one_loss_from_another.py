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
# # One loss from another
#
# The same models, measured on two kinds of text. The losses follow a shifted power law
#
#     L_target = K (L_source - E0)^kappa + E1
#
# (arXiv:2411.12925), so that a loss on one text is predicted from the loss on another. Eighteen small models were
# trained on prose and measured on prose and on Python source.

# %%
import scalefit as sf

SOURCE, TARGET = "loss", "loss_stdlib"

# %%
pairs = sf.load("loss_to_loss").table.rename(columns={SOURCE: "loss_source", TARGET: "loss"})
runs = sf.read_runs(pairs[["run", "N", "D", "loss_source", "loss"]])
small, large = runs.hold_out("N > 20000")
fit = sf.fit(small, "loss-to-loss", draws=100, seed=0)
fit

# %% [markdown]
# The largest models were held out.

# %%
fit.score(large).round(4)

# %%
ax = fit.plot(large)
ax.figure.savefig("one_loss_from_another.png", dpi=150)

# %% [markdown]
# Four constants on a short stretch of losses are hardly identified; the map itself, between the losses that were
# measured, is.
#
# **Change one line, rerun:** set `SOURCE` and `TARGET` to two columns of your table. For another data set instead of
# another text there is `scalefit translate`, for the accuracy on a task `scalefit task-ladder`.
