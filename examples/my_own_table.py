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
# # From your own table to a forecast
#
# A table with one row for each finished run: size, tokens, final loss, under whatever names. The file below stands for
# yours: fourteen models.

# %%
from pathlib import Path

import scalefit as sf

FILE, COLUMNS = "my_runs.csv", {"val_loss": "loss"}
table = """\
name,params,tokens,val_loss
s-1,6256,192K,2.5454
s-2,6256,384K,2.2650
s-4,6256,768K,2.0391
s-8,6256,1536K,1.8900
m-1,13976,192K,2.5365
m-2,13976,384K,2.1919
m-4,13976,768K,1.9153
m-8,13976,1536K,1.7364
l-2,24768,384K,2.1467
l-4,24768,768K,1.8332
l-8,24768,1536K,1.6367
x-2,55520,384K,2.0834
x-4,55520,768K,1.7406
x-8,55520,1536K,1.4889
"""
rows = Path(FILE).write_text(table)

# %% [markdown]
# What was read? Names such as `params` are known; others are mapped. Sizes may be written 192K or 7e9.

# %%
runs = sf.read_runs(FILE, rename=COLUMNS)
sf.inspect(runs)

# %% [markdown]
# Keep the largest size out, fit the others, and see the error on what was kept out. That error is what a forecast of
# the next size may have; the misfit of the fitted runs is not.

# %%
small, large = runs.hold_out("N > 40000")
judged = sf.fit(small, "chinchilla", draws=100, seed=0)
judged.predict(large)[["run", "loss", "low", "high", "measured", "relative_error"]].round(3)

# %% [markdown]
# Then fit all of them, and ask for the run that you plan.

# %%
fit = sf.fit(runs, "chinchilla", draws=100, seed=0)
fit

# %%
fit.predict(N="220K", D="1.5M").round(3)

# %%
ax = fit.plot(N="220K", D="1.5M")
ax.figure.savefig("my_own_table.png", dpi=150)

# %% [markdown]
# One page to forward: `sf.report(fit, N="220K", D="1.5M").save("forecast.html")`.
#
# **Change one line, rerun:** set `FILE` to your table (and leave out the line that writes it),
# and `COLUMNS` to the name of its loss.
