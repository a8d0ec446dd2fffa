"""Train a mixture's token gates by gradient: base and experts frozen, gates only.

Fitted gates were each right on states that other gates' right choices made. Run together, their
errors compound over layers and tokens. Here they run together as they will, and learn from it: by
the language-model loss, and by a label loss in every layer, as no gradient passes a hard choice.
"""

# B batch, T tokens, N = B*T rows, E experts

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, TrainingArguments, set_seed

from codemoe.data.rows import Row
from codemoe.models.load import CodeModel
from codemoe.recipe import GateTraining, TrainConfig
from codemoe.routing.losses import expert_load, label_loss, load_balance_loss, z_loss
from codemoe.routing.record import Routing
from codemoe.routing.routers import LinearRouter
from codemoe.train.order import plan_batches
from codemoe.train.sft import IGNORE, Collator, completion_loss, encode_rows
from codemoe.train.trainer import METRICS, InOrder, ProgressAndMetrics, common_arguments, run


def train_gates(
    model: CodeModel,
    gates: Sequence[LinearRouter],
    rows: Sequence[Row],
    labels: Sequence[int],
    config: GateTraining,
    max_length: int,
    seed: int,
    out: Path,
) -> dict[str, float]:
    """Train `gates` in place; write `metrics.jsonl` into `out`; return the last logged figures.

    `labels` are the rows' experts; rows longer than `max_length` tokens are left out. Resumes from
    checkpoints in `out`.
    """
    assert model.mixture is not None
    set_seed(seed)
    train = TrainConfig(
        steps=config.steps,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        max_length=max_length,
        warmup_steps=10,
    )
    trainer = _GateTrainer(
        model=_Gates(model, gates, config),
        args=TrainingArguments(**common_arguments(train, out, seed)),
        train_dataset=_dataset(model, rows, labels, train, seed),
        data_collator=_Collator(model.tokenizer.pad_token_id),
        callbacks=[ProgressAndMetrics("router: train gates", out / METRICS)],
        start_temperature=config.start_temperature,
    )
    trainer.remove_callback(PrinterCallback)
    run(trainer, out)
    last = (out / METRICS).read_text().splitlines()[-1]
    return {key: value for key, value in json.loads(last).items() if key in _FIGURES}


_FIGURES = ("loss", "language_model", "accuracy", "entropy", "top_load")


def _dataset(
    model: CodeModel, rows: Sequence[Row], labels: Sequence[int], train: TrainConfig, seed: int
) -> Dataset:
    """All samples of the training, languages mixed, batch after batch."""
    assert model.mixture is not None
    kept = [
        (example, label)
        for row, label in zip(rows, labels, strict=True)
        for example in encode_rows([row], model.tokenizer, train.max_length)[0]
    ]
    total = train.steps * train.gradient_accumulation_steps
    lengths = [len(example.input_ids) for example, _ in kept]
    everywhere = model.mixture.activation == "all"
    samples = []
    for batch in plan_batches(lengths, train.batch_size, total, seed):
        for i in batch:
            example, label = kept[i]
            start = example.completion_start
            samples.append(
                {
                    "input_ids": list(example.input_ids),
                    "labels": [IGNORE] * start + list(example.input_ids[start:]),
                    "active_from": 0 if everywhere else example.marker_start,
                    "own": label,
                }
            )
    return Dataset.from_list(samples)


class _Collator(Collator):
    """Also says which expert each sample belongs to."""

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        return super().__call__(samples) | {"own_B": torch.tensor([s["own"] for s in samples])}


def relaxed(routing: Routing, temperature: float) -> Routing:
    """The same choice with a gradient: forward as it is, backward through softmax(logits / t).

    Straight-through (arXiv:1308.3432): what is trained is exactly what will run.
    """
    soft_NE = (routing.logits_NE / temperature).softmax(-1)
    every_NE = torch.arange(soft_NE.shape[-1], device=soft_NE.device).expand(soft_NE.shape)
    weights_NE = routing.gates_NE().detach() + soft_NE - soft_NE.detach()
    return replace(routing, weights_NK=weights_NE, experts_NK=every_NE)


class _Gates(nn.Module):
    """The gates as a trainable module. The frozen mixture is beside it, not inside, so that a
    checkpoint holds gates alone."""

    def __init__(
        self, model: CodeModel, gates: Sequence[LinearRouter], config: GateTraining
    ) -> None:
        super().__init__()
        self.gates = nn.ModuleList(gates)
        self.settings = config  # not `config`: the trainer looks for a model's there
        self.temperature = 1.0
        self._beside = (model,)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        active_BT1: torch.Tensor,
        own_B: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        (model,) = self._beside
        assert model.mixture is not None
        routings: list[Routing] = []

        def router_of(gate: nn.Module) -> Any:
            def route(x_ND: torch.Tensor) -> Routing:
                routings.append(gate(x_ND))
                return relaxed(routings[-1], self.temperature)

            return route

        routers = [router_of(gate) for gate in self.gates]
        with model.mixture.layers.use_tokens(routers, active_BT1):
            language_model, _ = completion_loss(model.model, input_ids, attention_mask, labels)
        mask_N = (active_BT1[..., 0] * attention_mask).flatten()
        own_N = own_B[:, None].expand(input_ids.shape).flatten()
        prior_E = torch.bincount(own_N[mask_N > 0], minlength=routings[0].probs_NE.shape[-1])
        terms = {
            "language_model_loss": language_model,
            "label_loss": _over_layers(label_loss(r, own_N, mask_N) for r in routings),
            "balance_loss": _over_layers(
                load_balance_loss(r, mask_N, prior_E.clamp_min(1).float()) for r in routings
            ),
            "z_loss": _over_layers(z_loss(r, mask_N) for r in routings),
        }
        weights = self.settings.model_dump()
        loss = sum(weights[name] * term for name, term in terms.items() if weights[name])
        return {"loss": loss} | _figures(language_model, routings, own_N, mask_N)


def _over_layers(values: Iterable[torch.Tensor]) -> torch.Tensor:
    return torch.stack(list(values)).mean()


@torch.no_grad()
def _figures(
    language_model: torch.Tensor, routings: Sequence[Routing], own_N: torch.Tensor, mask_N: Any
) -> dict[str, torch.Tensor]:
    """What tells whether routing gets better, over layers: the share of choices that are right, the
    entropy of the probabilities in nats, and the largest share of choices that one expert has."""
    real_N = mask_N > 0
    right = [(r.experts_NK[:, 0] == own_N)[real_N].float().mean() for r in routings]
    entropy = [torch.special.entr(r.probs_NE[real_N]).sum(-1).mean() for r in routings]
    top = [expert_load(r, mask_N).max() for r in routings]
    return {
        "language_model": language_model.detach(),
        "accuracy": torch.stack(right).mean(),
        "entropy": torch.stack(entropy).mean(),
        "top_load": torch.stack(top).mean(),
    }


class _GateTrainer(InOrder):
    """Cools the relaxation while training; logs routing beside the loss."""

    END_TEMPERATURE = 0.3

    def __init__(self, *args: Any, start_temperature: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_temperature = start_temperature
        self._seen: list[dict[str, torch.Tensor]] = []

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        done = self.state.global_step / max(1, self.state.max_steps)
        cooling = min(1.0, self.END_TEMPERATURE / self.start_temperature)
        model.temperature = self.start_temperature * cooling**done
        output = model(**inputs)
        loss = output.pop("loss")
        self._seen.append(output)
        return (loss, output) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._seen:
            names = self._seen[0]
            means = {n: torch.stack([one[n] for one in self._seen]).mean() for n in names}
            logs |= {name: round(float(mean), 4) for name, mean in means.items()}
            self._seen.clear()
        super().log(logs, start_time)
