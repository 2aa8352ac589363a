"""The glossary of canonical columns: unit, meaning, and the names under which others log them."""

from __future__ import annotations

from dataclasses import dataclass

from scalefit.schedules.names import NAMES


@dataclass(frozen=True)
class Column:
    """A canonical column: its unit ("" for text), its meaning and the names under which others log it.

    `aliases` are compared with names in the form of `matching.normalised`, and may contain `*`. `fallback` aliases
    are tried once no alias of any column matches, and `last` ones, the best first, when nothing else matches.
    `numeric` columns hold numbers, the others text or labels.
    """

    unit: str
    meaning: str
    aliases: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    numeric: bool = True


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLUMNS: dict[str, Column] = {
    # identity
    "run": Column(
        "",
        "name of the training run",
        NAMES["run"],
        _words("id run/hash run_hash experiment_key experimentkey"),
        numeric=False,
    ),
    "split": Column(
        "",
        "data on which the loss was measured, or use of the row",
        _words("eval_set subset data_split"),
        numeric=False,
    ),
    "schedule": Column("", "name of the learning-rate schedule", NAMES["schedule"], numeric=False),
    "seed": Column(
        "", "random seed", _words("random_seed model_seed rng rng_seed rep replicate replica"), numeric=False
    ),
    "optimizer": Column("", "optimiser", _words("optim optimiser"), numeric=False),
    "parametrization": Column(
        "", "sp, ntk, mup or depth-mup", _words("parameterization parametrisation"), numeric=False
    ),
    "status": Column(
        "",
        "how the run ended: finished, diverged, crashed, failed, killed, running",
        _words("state run_state run_status outcome run_outcome"),
        numeric=False,
    ),
    "diverged": Column(
        "",
        "whether the run ends without a finite loss",
        _words("did_diverge is_diverged has_diverged diverges run_diverged"),
        numeric=False,
    ),
    # progress
    "step": Column(
        "optimiser steps",
        "optimiser steps done",
        tuple(name for name in NAMES["step"] if name != "_step"),
        last=("_step",),  # of W&B, which counts calls of log()
    ),
    "steps": Column("optimiser steps", "length of the run", _words("total_steps max_steps num_steps n_steps")),
    "epoch": Column("1", "passes over the training data so far", _words("epoch_num current_epoch")),
    "tokens": Column(
        "tokens",
        "training tokens seen so far",
        _words(
            "tokens_seen n_tokens_seen total_tokens throughput/total_tokens num_tokens n_tokens consumed_tokens "
            "tokens_trained ntokens train_tokens training_tokens num_input_tokens_seen train/tokens "
            "train/tokens_seen"
        ),
    ),
    # size and compute
    "N": Column(
        "parameters",
        "parameters, without embeddings where the file says so",
        _words(
            "params_nonemb nonemb_params params_non_embedding non_embedding_params n_nonemb n_non_embedding "
            "num_params_non_embedding non_embedding_parameters params_without_embedding"
        ),
        _words(
            "params n_params num_params parameters n_parameters num_parameters param_count parameter_count "
            "model_params model_size nparams"
        ),
    ),
    "N_total": Column(
        "parameters",
        "parameters, with embeddings",
        _words("params_total total_params n_params_total total_parameters num_params_total params_with_embedding"),
        _words("params n_params num_params parameters n_parameters num_parameters param_count model_params"),
    ),
    "D": Column(
        "tokens",
        "training tokens of the run",
        _words("dataset_tokens data_tokens n_train_tokens training_tokens_total"),
    ),
    "C": Column(
        "FLOP",
        "training compute (6 N D unless measured)",
        _words(
            "flops flop training_flop training_flops train_flops total_flops total_flos compute "
            "total_compute training_compute train_compute compute_budget "
            "flop_budget flops_budget budget_flop budget_flops"
        ),
    ),
    "batch": Column(
        "tokens",
        "tokens per optimiser step",
        _words(
            "batch_tokens tokens_per_step tokens/step batch_size_in_tokens batch_size_tokens global_batch_tokens "
            "tokens_per_batch"
        ),
    ),
    # measured
    "loss": Column(
        "nats/token",
        "cross-entropy",
        _words(
            "train/loss train_loss loss/train training_loss train/crossentropyloss train/cross_entropy "
            "reduced_train_loss val/loss val_loss loss/val validation_loss valid_loss valid/loss "
            "validation_metrics/loss eval/loss eval_loss test_loss test/loss lm_loss lm_loss_validation lm_loss_value "
            "loss_metrics/global_avg_loss global_avg_loss eval/*/crossentropyloss eval/*/loss final_loss "
            "final_val_loss final_train_loss last_val_loss train_loss_step train/loss_step cross_entropy "
            "crossentropyloss ce_loss trl tel"
        ),
        _words("smooth_loss loss_smooth smoothed_loss loss_last loss_ema train_loss_epoch train/loss_epoch"),
        _words(
            "loss_final nll xent ce bits_per_token bpt best_val_loss best_eval_loss min_val_loss val_loss_min "
            "best_loss l"
        ),
    ),
    "grad_norm": Column(
        "1",
        "norm of the gradient before clipping",
        _words("train/grad_norm gradient_norm gnorm grad/norm gradient/norm gradnorm global_grad_norm total_grad_norm"),
    ),
    "attention_logit_max": Column(
        "1",
        "largest attention logit",
        _words(
            "max_attention_logit max_attn_logit attn_logit_max max_attention_logits max_attn_logits attn/max_logit "
            "attn/max_logits attention/max_logit attn_max_logit attention_max_logit"
        ),
        _words("max_logit"),
    ),
    "output_logit_logsumexp": Column(
        "1",
        "log of the sum of the exponentials of the output logits",
        _words("logit_z log_z logz lse logit_logsumexp logits_logsumexp logit_lse logits_lse"),
    ),
    "rms_act": Column(
        "1", "root mean square of the activations", _words("activation_rms activations_rms act_rms rms_activation")
    ),
    "rms_grad": Column("1", "root mean square of the gradient", _words("grad_rms gradient_rms rms_gradient")),
    "rms_update": Column("1", "root mean square of the parameter update", _words("update_rms")),
    "sharpness": Column(
        "1/lr",
        "top eigenvalue of the Hessian in the metric of the optimiser, to be compared with 2/lr",
    ),
    "hessian_max": Column(
        "1",
        "top eigenvalue of the Hessian itself, whatever the optimiser",
        _words(
            "hessian_max_eig hessian_max_eigenvalue hessian_top_eigenvalue lambda_max top_eigenvalue max_eigenvalue"
        ),
    ),
    # learning rate
    "lr": Column(
        "1",
        "learning rate at the step, as fed to the optimiser",
        NAMES["lr"],
        _words(
            "lr_[0-9] lr_[0-9][0-9] lr_[0-9]_* lr/[0-9]* lr/muon* lr/adam* lr/group* lr/pg* lr_group* lr_pg* lr_muon* "
            "lr_adam* learning_rate_[0-9] learning_rate_[0-9][0-9] current_lr cur_lr lr_current lr_now lr_cur "
            "current_learning_rate learning_rate_now"
        ),
    ),
    "peak_lr": Column(
        "1",
        "highest learning rate of the schedule",
        _words("max_lr lr_max peak_learning_rate learning_rate_peak max_learning_rate lr_peak base_lr"),
    ),
    "warmup": Column(
        "optimiser steps",
        "steps of the first linear warmup",
        _words("warmup_steps lr_warmup_steps num_warmup_steps warmup_iters"),
    ),
    "weight_decay": Column("1", "weight decay", _words("wd")),
    # shape
    "d_model": Column(
        "1",
        "width of the residual stream",
        _words("width n_embd hidden_size hidden_dim embed_dim model_dim"),
        last=_words("dim"),
    ),
    "n_layer": Column("1", "number of layers", _words("n_layers num_layers depth layers num_blocks numl")),
    "n_head": Column("1", "number of attention heads", _words("n_heads num_heads heads numh")),
    "d_head": Column("1", "size of an attention head", _words("head_dim kqv_size")),
    "d_ff": Column("1", "width of the feed-forward layer", _words("d_ffn ffn_size ffn_dim ffnh intermediate_size")),
    "seq_len": Column(
        "tokens",
        "length of a sequence",
        _words("sequence_length seq_length context_length block_size max_seq_len max_seq_length ctx_len context"),
    ),
    "vocab": Column("1", "size of the vocabulary", _words("vocab_size n_vocab")),
    # variables of single laws
    "U": Column("tokens", "unique training tokens", _words("unique_tokens")),
    "E0": Column("nats/token", "irreducible loss on the first data set"),
    "E1": Column("nats/token", "irreducible loss on the second data set"),
    "N_enc": Column("parameters", "parameters of the encoder", _words("enc_params")),
    "N_dec": Column("parameters", "parameters of the decoder", _words("dec_params")),
    "N_vocab": Column("parameters", "parameters of the vocabulary: entries times width", _words("vocab_params")),
    "S_min": Column("optimiser steps", "steps needed at a batch size far above the critical one"),
    "domain_share": Column("1", "share of the training tokens that is of the domain judged"),
    "experts": Column("1", "number of experts", _words("n_experts num_experts")),
    "granularity": Column("1", "how many times finer an expert is than a feed-forward layer"),
    "precision": Column("bits", "bits of weights, activations and key-value cache in training"),
    "precision_w": Column("bits", "bits of the weights in training"),
    "precision_a": Column("bits", "bits of the activations in training"),
    "precision_kv": Column("bits", "bits of the key-value cache in training"),
    "precision_post": Column("bits", "bits to which the weights are rounded after training"),
    "streams": Column("1", "parallel streams of one model"),
    "examples": Column("examples", "examples of fine-tuning, or training pairs"),
    "distance": Column("1", "distance of the parameters from the best ones"),
    "loss_source": Column("nats/token", "loss from which another loss is predicted"),
    "error": Column("1", "error rate of a task, or the mean of several"),
    "accuracy": Column("1", "accuracy of a task, or the mean of several"),
    "bleu": Column("BLEU points", "quality of translations"),
    "fid": Column("1", "Frechet distance of generated images"),
    "information": Column("nats", "mutual information of two modalities, or its share of the loss"),
    **{f"r{i}": Column("1", f"share of data source {i} in the training data") for i in range(1, 7)},
    "S1": Column("lr step", "forward area under the learning-rate curve"),
    "S1_cpt": Column("lr step", "forward area of the continual pre-training so far"),
    "S2_cpt": Column("lr step", "annealing area of the continual pre-training"),
    "cpt_step": Column("optimiser steps", "first step of continual pre-training, made on other data"),
    "R1": Column("lr^q step", "progress: powered area under the learning-rate curve so far"),
    "R2": Column("lr^p", "noise level: delayed average of the powered learning rate"),
    "gap": Column("1", "drops of the learning rate so far"),
    "gap_lr": Column("1", "learning rate after each drop"),
    "gap_area": Column("lr step", "area under the learning-rate curve since each drop"),
    "S2": Column("lr step", "annealing area: discounted sum of learning-rate drops"),
}

#: Columns whose name may follow a prefix such as `model.` or `optimizer.`: settings of a run and probes, but neither
#: axes nor losses (`train/loss` and `teacher/loss` differ).
CONFIGURED = frozenset(
    _words(
        "N N_total batch steps seed optimizer parametrization lr peak_lr warmup weight_decay d_model n_layer n_head "
        "d_head d_ff seq_len vocab experts grad_norm attention_logit_max output_logit_logsumexp rms_act rms_grad "
        "rms_update sharpness"
    )
)
