"""Trainers: loops of others that log by themselves; a model of one weight makes the losses that are planted."""

from __future__ import annotations

from pathlib import Path

from three_runs import (
    CHECKPOINT,
    EVALUATED,
    EVERY,
    KILLED,
    RUNS,
    SETTINGS,
    STEPS,
    Point,
    epochs,
    lives,
    rate,
)


class Killed(RuntimeError):
    """The process is gone."""


def _planted(run: str, life: int) -> dict[int, Point]:
    return {each.step: each for each in lives(run)[life]}


def _at(step: int) -> int:
    """The logged step whose interval contains a step from 1 on."""
    return -(-step // EVERY) * EVERY


def transformers(folder: Path) -> None:
    """The Trainer's `trainer_state.json`, of the last checkpoint of each run."""
    import torch
    import transformers as hf

    class Model(torch.nn.Module):
        """Its loss is that which is planted for the step; its gradient is 0."""

        def __init__(self, run: str):
            super().__init__()
            self.weight, self.run, self.planted, self.step = torch.nn.Parameter(torch.zeros(())), run, {}, 0

        def forward(self, x, labels=None):
            if self.training:
                self.step += 1
                value = self.planted[_at(self.step)].loss
            else:
                value = self.planted[self.step].val
            return {"loss": value + 0 * self.weight, "logits": x}

    class Kill(hf.TrainerCallback):
        def on_log(self, args, state, control, **_):
            if state.global_step >= KILLED and args.run_name == "first":
                raise Killed

    class Follow(hf.TrainerCallback):
        """The model knows the step after a resume."""

        def __init__(self, model):
            self.model = model

        def on_train_begin(self, args, state, control, **_):
            self.model.step = state.global_step

    rows = [{"x": torch.zeros(1), "labels": torch.zeros(1)}] * STEPS
    for run in RUNS:
        for life, points in enumerate(lives(run)):
            model = Model(run)
            model.planted = {each.step: each for each in points}
            killed = len(lives(run)) > 1 and life == 0
            args = hf.TrainingArguments(
                output_dir=str(folder / run), max_steps=STEPS, logging_steps=EVERY, eval_strategy="steps",
                eval_steps=EVALUATED, save_steps=CHECKPOINT, save_total_limit=1, per_device_train_batch_size=1,
                report_to=[], use_cpu=True, disable_tqdm=True, logging_nan_inf_filter=False, learning_rate=1.0,
                run_name="first" if killed else "other",
            )  # fmt: skip
            optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done, run=run: rate(run, done + 1))
            trainer = hf.Trainer(
                model=model, args=args, train_dataset=rows, eval_dataset=rows[:1], optimizers=(optimizer, schedule),
                callbacks=[Kill(), Follow(model)],
            )  # fmt: skip
            try:
                trainer.train(resume_from_checkpoint=life > 0)
            except Killed:
                continue


def lightning(folder: Path) -> None:
    """The CSVLogger with a LearningRateMonitor; the resumed run goes on in a folder `version_1`."""
    import lightning as pl
    import torch
    from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger

    class Model(pl.LightningModule):
        def __init__(self, run, life, **settings):
            super().__init__()
            self.save_hyperparameters(settings)
            self.run, self.planted = run, _planted(run, life)
            self.weight, self.killed = torch.nn.Parameter(torch.zeros(())), len(lives(run)) > 1 and life == 0

        def training_step(self, batch, index):
            step = self.global_step + 1
            if self.killed and step > KILLED:
                raise Killed
            loss = torch.tensor(self.planted[_at(step)].loss, dtype=torch.float64)
            self.log("train_loss", loss)
            return 0 * self.weight

        def validation_step(self, batch, index):
            step = self.global_step
            if step in self.planted:
                self.log("val_loss", torch.tensor(self.planted[step].val, dtype=torch.float64))

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: rate(self.run, done + 1))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    rows = torch.utils.data.DataLoader(torch.zeros(STEPS, 1))
    one = torch.utils.data.DataLoader(torch.zeros(1, 1))
    for run in RUNS:
        for life in range(len(lives(run))):
            saved = folder / "kept" / run
            trainer = pl.Trainer(
                max_steps=STEPS, log_every_n_steps=EVERY, val_check_interval=EVALUATED, accelerator="cpu", devices=1,
                logger=CSVLogger(str(folder), name=run), enable_progress_bar=False, enable_model_summary=False,
                num_sanity_val_steps=0, callbacks=[
                    LearningRateMonitor("step"),
                    ModelCheckpoint(str(saved), filename="{step}", every_n_train_steps=CHECKPOINT, save_top_k=-1),
                ],
            )  # fmt: skip
            again = str(saved / f"step={CHECKPOINT}.ckpt") if life else None
            try:
                trainer.fit(Model(run, life, **SETTINGS), rows, one, ckpt_path=again)
            except Killed:
                continue


def keras(folder: Path) -> None:
    """The CSVLogger, one file a run and a row an epoch; the second life goes on with append=True."""
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras as library
    import numpy as np

    class Plant(library.callbacks.Callback):
        """Puts the planted values where the logger finds them."""

        def __init__(self, planted):
            super().__init__()
            self.planted = planted

        def on_epoch_end(self, epoch, logs=None):
            each = self.planted[epoch]
            logs.update({"loss": each.loss, "val_loss": each.val, "learning_rate": each.lr})

    x, y = np.zeros((1, 1)), np.zeros((1, 1))
    for run in RUNS:
        planted = {each.step: each for each in epochs(run)}
        starts = [(0, 12), (10, 20)] if run == "wsd" else [(0, 20)]
        for first, stop in starts:
            model = library.Sequential([library.layers.Input((1,)), library.layers.Dense(1)])
            model.compile("sgd", "mse")
            logger = library.callbacks.CSVLogger(str(folder / f"{run}.csv"), append=True)
            model.fit(x, y, epochs=stop, initial_epoch=first, verbose=0, callbacks=[Plant(planted), logger])
