"""Make a tiny base, trained on plain documents, as a stand-in for pre-training."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, PrinterCallback, TrainingArguments, set_seed

from codemoe.data.prompt import format_prompt
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.languages import LANGUAGES
from codemoe.models.scratch import scratch_model_config
from codemoe.progress import say
from codemoe.recipe import ScratchConfig, TrainConfig
from codemoe.train.documents import documents
from codemoe.train.tokenizer import train_tokenizer
from codemoe.train.trainer import (
    METRICS,
    DependableTrainer,
    ProgressAndMetrics,
    common_arguments,
    run,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class _Packed(Dataset):
    """Rows of `sequence_length` tokens cut from one long stream of documents."""

    tokens_NT: torch.Tensor

    def __len__(self) -> int:
        return len(self.tokens_NT)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        tokens_T = self.tokens_NT[index].long()
        return {"input_ids": tokens_T, "labels": tokens_T}


def _tokenizer_texts(rows: Sequence[Row], seed: int) -> list[str]:
    """Code, descriptions and the prompt's own words, so that each has compact tokens."""
    sample = list(rows)
    random.Random(f"tokenizer:{seed}").shuffle(sample)
    texts = [row.code for row in sample[:6000]]
    texts += [format_prompt(row.text, row.language) for row in sample[:2000]]
    return texts + [format_prompt("", language) for language in LANGUAGES] * 50


def scratch_tokenizer(
    rows: Sequence[Row], config: ScratchConfig, seed: int
) -> "PreTrainedTokenizerFast":
    """The tokenizer of a base from scratch: a function of the rows, the config and the seed."""
    return train_tokenizer(_tokenizer_texts(rows, seed), config.vocab_size)


def _packed(
    rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", config: ScratchConfig, seed: int
) -> _Packed:
    """As many passes over the documents as the steps ask for, each in an order of its own."""
    num_rows = config.steps * max(1, config.batch_tokens // config.sequence_length)
    wanted = num_rows * config.sequence_length
    chunks: list[torch.Tensor] = []
    have = epoch = 0
    while have < wanted:
        texts = documents(rows, config.described_fraction, seed + epoch)
        ids: list[int] = []
        for encoded in tokenizer(texts, add_special_tokens=False)["input_ids"]:
            ids.extend(encoded)
            ids.append(tokenizer.eos_token_id)
        chunks.append(torch.tensor(ids, dtype=torch.int32))
        have += len(ids)
        epoch += 1
    stream = torch.cat(chunks)[:wanted]
    say(f"pre-training: {wanted:,} tokens, {epoch} passes over {len(rows):,} programs")
    return _Packed(stream.view(num_rows, config.sequence_length))


def pretrain(rows: Sequence[Row], config: ScratchConfig, seed: int, out: Path) -> None:
    """Write a Hugging Face checkpoint (model, tokenizer, metrics.jsonl) into `out`."""
    if not rows:
        raise UserError("no training rows to pre-train a base on", "codemoe data RECIPE")
    tokenizer = scratch_tokenizer(rows, config, seed)
    set_seed(seed)
    model = AutoModelForCausalLM.from_config(
        scratch_model_config(
            config,
            vocab_size=len(tokenizer),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    say(f"pre-training: {sum(p.numel() for p in model.parameters()):,} parameters")
    if config.steps:
        _train(model, _packed(rows, tokenizer, config, seed), config, seed, out)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def _train(model: Any, samples: _Packed, config: ScratchConfig, seed: int, out: Path) -> None:
    train = TrainConfig(
        steps=config.steps,
        batch_size=max(1, config.batch_tokens // config.sequence_length),
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=0.05,
        checkpoint_steps=config.checkpoint_steps,
        logging_steps=20,
    )
    arguments: dict[str, Any] = common_arguments(train, out, seed)
    trainer = DependableTrainer(
        model=model,
        args=TrainingArguments(**arguments),
        train_dataset=samples,
        callbacks=[ProgressAndMetrics("pre-training", out / METRICS)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.description = "pre-training"
    run(trainer, out)
