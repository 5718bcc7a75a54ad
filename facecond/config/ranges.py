"""Interval of every number in every config."""

from __future__ import annotations

RANGES: dict[str, str] = {
    "(0, inf)": "optim.learning_rate optim.adam_learning_rate optim.clip_norm objective.k "
    "objective.density_std judge.learning_rate discriminator.learning_rate",
    "[0, inf)": "judges.seeds "
    "train.seed train.steps train.minutes train.num_workers train.checkpoint_every_s "
    "train.sample_every optim.weight_decay optim.warmup_steps objective.gamma judge.seed "
    "data.count data.seed judges.steps evaluate.seed evaluate.pictures "
    "perceptual.weight perceptual.min_snr loss.l1 loss.perceptual loss.kl loss.adversary "
    "loss.adversary_start judge.dice judge.validations judge.num_workers routing.seed "
    "pairs.max_appearance_distance pairs.min_flips pairs.min_pairs pairs.seed",
    "[1, inf)": "data.variations evaluate.batch_size evaluate.swapped evaluate.diversity "
    "train.batch_size train.accumulation train.log_every data.variants "
    "first_stage.patch_size first_stage.latent_channels denoiser.block_out_channels "
    "denoiser.layers_per_block denoiser.attention_head_dim denoiser.norm_num_groups "
    "denoiser.mask_grid reference.grid reference.queries reference.dim reference.depth "
    "reference.heads perceptual.layers judge.steps autoencoder.block_out_channels "
    "autoencoder.layers_per_block autoencoder.latent_channels autoencoder.norm_num_groups",
    "[1, 10000000]": "pairs.max_pairs",
    "[1, 2]": "reference.trunks",
    "[1, 6]": "discriminator.layers",
    "[2, inf)": "evaluate.n evaluate.samples evaluate.turned evaluate.references "
    "train.keep_checkpoints denoiser.condition_dim judge.batch_size",
    "[4, inf)": "judge.width",
    "[8, inf)": "discriminator.width",
    "[1, 1000]": "sampling.steps",
    "[0, 1000]": "evaluate.steps",
    "[64, 1024]": "data.size",
    "[0, 0.3]": "data.affine data.jitter judge.affine judge.jitter",
    "[0, 1]": "dropout.attributes dropout.mask dropout.both dropout.single_attributes "
    "dropout.mask_regions dropout.layers reference.dropout reference.keep "
    "pairs.max_mask_miou pairs.min_mask_miou pairs.min_stated",
    "(0, 1]": "optim.decay_share dropout.layer_keep routing.fraction",
    "[0, 1)": "data.judges_fraction data.test_fraction "
    "optim.ema_decay judge.ema_decay judge.label_smoothing",
    "[-1, 1]": "pairs.same_person pairs.one_person",
    "[-10, 10]": "objective.density_mean",
}
"""Interval -> the keys whose value (or every item of it) must lie in it."""
