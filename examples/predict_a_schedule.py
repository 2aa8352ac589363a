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
# # Predict a schedule that was not run
#
# Eight runs of one small model under eight learning-rate schedules. Four of them, 1,600 steps long, are fitted; the
# other four, half as long again, are predicted and compared with what was measured. The law is
#
#     L(s) = L0 + A S1^-alpha - C S2
#
# with S1 the area under the learning rate up to step s and S2 the annealing area, which grows while the learning rate
# falls (arXiv:2408.11029).

# %%
import scalefit as sf

# %% [markdown]
# Read the logs. For your own: `sf.read_runs("runs.csv", rename={"train/loss": "loss"}, schedule="cosine:...")`.

# %%
runs = sf.load("schedules").where("d_model == 96")
runs

# %% [markdown]
# Hold out the longer runs: a law is judged by extrapolation, never on rows picked at random from curves that it has
# seen. Then fit. `decay` is the discount of the annealing area; a drop of the learning rate acts over about
# 1/(1 - decay) steps, and 100 suits runs of this length better than the 1,000 of the default.

# %%
short, long = runs.hold_out("steps > 1600")
fit = sf.fit(short, "annealing:decay=0.99", draws=200, seed=0)
fit

# %% [markdown]
# The errors on the four schedules that were not fitted. `final` is the error at the last step, the number by which a
# schedule is chosen. The law promises too much of the late cooldown of `wsd-2400`.

# %%
fit.score(long).round(4)

# %%
ax = fit.plot(long)
ax.figure.savefig("predict_a_schedule.png", dpi=150)

# %% [markdown]
# A schedule that nobody ran: 3,200 steps, the last tenth of them cooling down. `decades_beyond` says how far it lies
# outside what was fitted; `low` and `high` are the 90 % interval.

# %%
schedule = "wsd:peak_lr=8e-3,steps=3200,warmup=100,decay_steps=320"
fit.predict(schedule=schedule).tail(3).round(4)

# %%
ax = fit.plot(long, schedule=schedule)

# %% [markdown]
# How much hangs on the discount? The errors at the last step, for five values of it. Choose it by the length of your
# runs or by holding out some of the fitted runs, not by the runs that are to judge the result.

# %%
decays = (0.95, 0.98, 0.99, 0.995, 0.999)
finals = {decay: sf.fit(short, f"annealing:decay={decay}", draws=0).score(long)["final"] for decay in decays}
for decay, final in finals.items():
    print(f"decay {decay}: " + ", ".join(f"{run} {100 * error:+.1f} %" for run, error in final.items()))

# %% [markdown]
# The fit is plain JSON; a saved one predicts as before.

# %%
again = sf.load_fit(fit.save("predict_a_schedule.json"))
assert again.parameters == fit.parameters

# %% [markdown]
# **Change one line, rerun:** set `schedule` to one that you think of, such as
# `"wsd:peak_lr=8e-3,steps=4000,warmup=100,decay_steps=400"`.
