"""Group relative policy optimisation of one expert's adapter (arXiv:2402.03300), through TRL.

The expert answers a task several times; what an answer's reward is above the group's mean, in
standard deviations, is the advantage of each of its tokens.
"""

# B rows of a batch, T tokens of prompt and answer, P of the prompt

import warnings
from collections.abc import Callable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed
from trl import GRPOConfig, GRPOTrainer

from codemoe.align_config import AlignConfig
from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.data.rows import Row, stable_hash
from codemoe.errors import UserError
from codemoe.models.decoding import left_pad
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import CodeModel
from codemoe.models.sampling import Sampling
from codemoe.progress import say
from codemoe.train.activation import ActivationMask
from codemoe.train.dpo import (
    TrlFigures,
    as_train_config,
    restore_values,
    trainable_adapter,
    values_of,
)
from codemoe.train.trainer import METRICS, ProgressAndMetrics, common_arguments
from codemoe.train.trainer import run as train

Reward = Callable[[Sequence[str], Sequence[str]], list[float]]  # (row ids, answers) -> numbers


class _RewardTrainer(TrlFigures, GRPOTrainer):
    """TRL's loss; answers come from the library's own generation, and the expert acts on the same
    tokens while it is trained as while it answered."""

    activation_mask: ActivationMask
    activation = "completion"
    prompts: dict[tuple[int, ...], EncodedPrompt]  # by their tokens

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        # Each task once for every answer; the order is the seed's alone.
        return GRPOTrainer._get_train_sampler(self, *args, **kwargs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """TRL's, under a mask made for these rows; in pieces of `batch_size`, as there."""
        size = batch_size or len(input_ids)
        parts = []
        for start in range(0, len(input_ids), size):
            some = slice(start, start + size)
            ids_BT, mask_BT = input_ids[some], attention_mask[some]
            with self.activation_mask.on(self._active(ids_BT, mask_BT, logits_to_keep)):
                found = super()._get_per_token_logps_and_entropies(
                    model, ids_BT, mask_BT, logits_to_keep, **kwargs
                )
            parts.append(found)
        logps, entropies, aux = zip(*parts, strict=True)
        return (
            torch.cat(logps),
            None if entropies[0] is None else torch.cat(entropies),
            None if aux[0] is None else torch.stack(aux).mean(),
        )

    def _active(
        self, ids_BT: torch.Tensor, mask_BT: torch.Tensor, answer_columns: int
    ) -> torch.Tensor:
        active_BT1 = torch.ones((*ids_BT.shape, 1), device=ids_BT.device)
        if self.activation == "all":
            return active_BT1
        columns = ids_BT.shape[1] - answer_columns
        for row in range(len(ids_BT)):
            own = ids_BT[row, :columns][mask_BT[row, :columns] == 1].tolist()
            prompt = self.prompts[tuple(own)]
            active_BT1[row, : columns - (len(prompt.input_ids) - prompt.marker_start)] = 0
        return active_BT1


def train_by_reward(
    base: CodeModel,
    start: Path,
    rows: Sequence[Row],
    reward: Reward,
    *,
    name: str,
    config: AlignConfig,
    activation: str,
    max_new_tokens: int,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """Train the adapter in `start` further, into `out`; what training did, for training.json.

    Wraps `base.model` in place without changing its weights; resumes from checkpoints in `out`.
    """
    tokenizer = base.tokenizer
    encoded = {row.id: encode_prompt(tokenizer, row.text, row.language) for row in rows}
    longest = config.train.max_length - max_new_tokens
    fitting = [row for row in rows if len(encoded[row.id].input_ids) <= longest]
    if not fitting:
        raise UserError(
            f"align: no prompt of expert {name!r} fits into {longest} tokens, what "
            f"max_length={config.train.max_length} leaves beside {max_new_tokens} new tokens",
            "raise align.train.max_length",
        )
    if len(fitting) < len(rows):
        say(f"align {name}: {len(rows) - len(fitting)} prompts are too long and left out")
    model = trainable_adapter(base, start)
    before = values_of(model)
    per_step = (
        config.train.batch_size
        * config.train.gradient_accumulation_steps
        // config.samples_per_task
    )
    steps = ceil(len(fitting) * config.train.epochs / per_step)
    arguments = GRPOConfig(
        **common_arguments(as_train_config(config.train, steps), out, seed),
        num_generations=config.samples_per_task,
        max_completion_length=max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        beta=config.strength,
        disable_dropout=True,
        gradient_checkpointing=False,
    )
    set_seed(seed)
    asked = {tuple(prompt.input_ids): prompt for prompt in encoded.values()}

    def rewards(completions: list[str], id: list[str], **_: Any) -> list[float]:
        return reward(id, completions)

    def answer(prompts: list[str], trainer: _RewardTrainer) -> dict[str, Any]:
        own = [encoded[row_id] for row_id in prompts]
        return _answer(trainer, base, own, config, max_new_tokens, f"{seed}:grpo:{name}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # TRL calls its rollouts experimental
        trainer = _RewardTrainer(
            model=model,
            reward_funcs=rewards,
            args=arguments,
            # The prompt is known by its row: its tokens are made here, as for every other use.
            train_dataset=Dataset.from_list([{"prompt": r.id, "id": r.id} for r in fitting]),
            processing_class=tokenizer,
            rollout_func=answer,
            callbacks=[ProgressAndMetrics(f"align {name}", out / METRICS)],
        )
    trainer.remove_callback(PrinterCallback)
    trainer.description = f"align {name}"
    trainer.prompts, trainer.activation = asked, activation
    trainer.activation_mask = ActivationMask(model)
    if config.reference == "base" and "ref" in model.peft_config:
        model.delete_adapter("ref")
    restore_values(model, before)
    train(trainer, out)
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
    model.save_pretrained(str(out))
    return {"tasks": len(fitting), "steps": steps}


def _answer(
    trainer: _RewardTrainer,
    base: CodeModel,
    prompts: Sequence[EncodedPrompt],
    config: AlignConfig,
    max_new_tokens: int,
    key: str,
) -> dict[str, Any]:
    """One answer for each prompt, by the adapter as it is now."""
    tokenizer = base.tokenizer
    # As generation reads them: a prompt that is asked for several times once.
    read = list(dict.fromkeys(prompts))
    batch = left_pad(read, tokenizer.pad_token_id, trainer.args.device)
    active_BT1 = batch.marked_BT[..., None]
    if trainer.activation == "all":
        active_BT1 = torch.ones_like(active_BT1)
    drawn = stable_hash(f"{key}:{trainer.state.global_step}:{trainer._step}")
    # Nothing is routed here, so prompts with unlike markers need not be taken apart.
    asked = [EncodedPrompt(one.input_ids, len(one.input_ids) - 1) for one in prompts]
    with trainer.activation_mask.on_prompts(active_BT1):
        found = generate_batch(
            CodeModel(trainer.accelerator.unwrap_model(trainer.model), tokenizer),
            asked,
            Route("none"),
            max_new_tokens=max_new_tokens,
            sampling=Sampling(config.temperature, config.top_p, int(drawn[:8], 16)),
        )
    end = [tokenizer.eos_token_id]
    return {
        "prompt_ids": [list(one.input_ids) for one in prompts],
        "completion_ids": [
            list(one.token_ids) + (end if one.finish_reason == "stop" else []) for one in found
        ],
        "logprobs": None,
    }
