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
# # Which of two recipes is better at the target?
#
# Small runs of two recipes (here two parametrisations of one model, at one learning rate) are fitted jointly: what the
# recipes share is shared as far as the runs find no difference. The answer is the difference at the target, and how
# much compute it is worth.

# %%
import scalefit as sf

BY, TARGET = "parametrization", {"C": 1e12}

# %%
runs = sf.load("lr_width").where("lr == 0.00390625")
compared = sf.compare_recipes(runs, by=BY, draws=100, seed=0, **TARGET)
compared

# %%
ax = compared.plot()
ax.figure.savefig("two_recipes.png", dpi=150)

# %% [markdown]
# The learning rate is the same for both, which is unfair to one of them: its best rate falls with width. Compare
# recipes at their own best settings.
#
# **Change one line, rerun:** set `BY` to the column that names your recipes, and `TARGET` to `{"N": 7e9, "D": 2e12}` or
# another compute.
