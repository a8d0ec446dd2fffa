"""Train a mixture's token gates by gradient, the base frozen; its whole-MLP experts with them when
told to.

Fitted gates were each right on states that other gates' right choices made. Run together, their
errors compound over layers and tokens. Here they run together as they will, and learn from it: by
the language-model loss, and by a label loss in every layer, as no gradient passes a hard choice.
"""

# B batch, T tokens, N = B*T rows, E experts

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import PrinterCallback, TrainingArguments, set_seed

from codemoe.data.rows import Row
from codemoe.models.full_mlps import expert_layers, expert_weights
from codemoe.models.load import TRAINED_EXPERTS, CodeModel
from codemoe.models.routers_file import TokenRouters
from codemoe.recipe import TrainConfig
from codemoe.router_config import GateTraining
from codemoe.routing.collect import RoutingCollector
from codemoe.routing.decisions import update_bias
from codemoe.routing.losses import (
    expert_load,
    importance_loss,
    label_loss,
    load_balance_loss,
    load_loss,
    z_loss,
)
from codemoe.routing.record import Routing
from codemoe.routing.routers import LinearRouter, SigmoidRouter, TopKRouter
from codemoe.train.full_mlp import write_expert
from codemoe.train.order import plan_batches
from codemoe.train.sft import IGNORE, Collator, completion_loss, encode_rows
from codemoe.train.trainer import (
    METRICS,
    DependableTrainer,
    ProgressAndMetrics,
    common_arguments,
    run,
)


def train_gates(
    model: CodeModel,
    gates: TokenRouters,
    rows: Sequence[Row],
    labels: Sequence[int],
    config: GateTraining,
    max_length: int,
    seed: int,
    out: Path,
) -> dict[str, float]:
    """Train `gates` in place; write `metrics.jsonl` into `out`, and experts that were trained too
    into `out/experts/`; return the last logged figures.

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
        logging_steps=min(10, config.steps),
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
    trainer.description = "router: train gates"
    run(trainer, out)
    for gate in gates:
        if gate is not None:
            gate.eval()
    if config.experts:
        for index, name in enumerate(model.mixture.experts):
            weights = expert_weights(model.model, index)
            write_expert(out / TRAINED_EXPERTS / name, model.model, weights, model.model.dtype)
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


def _is_hard(gate: LinearRouter) -> bool:
    """Whether its weights teach it nothing: one expert, whose weight is always 1, or top-k, whose
    gradient reaches the chosen experts alone."""
    return type(gate) in (LinearRouter, TopKRouter) or getattr(gate, "top_k", None) == 1


def relaxed(routing: Routing, temperature: float) -> Routing:
    """The same choice with a gradient: forward as it is, backward through softmax(logits / t).

    Straight-through (arXiv:1308.3432): what is trained is exactly what will run.
    """
    compared_NE = routing.logits_NE if routing.noisy_logits_NE is None else routing.noisy_logits_NE
    soft_NE = (compared_NE / temperature).softmax(-1)
    every_NE = torch.arange(soft_NE.shape[-1], device=soft_NE.device).expand(soft_NE.shape)
    weights_NE = routing.gates_NE().detach() + soft_NE - soft_NE.detach()
    return replace(routing, weights_NK=weights_NE, experts_NK=every_NE)


@dataclass
class _Step:
    """One training step: the temperature of its gradients and what the gates decided in it."""

    temperature: float
    routings: Mapping[int, Routing]
    mask_N: torch.Tensor  # 1 for the tokens that experts act on
    own_N: torch.Tensor  # the expert that each token belongs to

    @property
    def prior_E(self) -> torch.Tensor:
        """The batch's own mix of experts."""
        num_experts = next(iter(self.routings.values())).probs_NE.shape[-1]
        counts_E = torch.bincount(self.own_N[self.mask_N > 0], minlength=num_experts)
        return counts_E.clamp_min(1).float()


class _Gates(nn.Module):
    """The gates as a trainable module. The frozen mixture is beside it, not inside, so that a
    checkpoint holds gates alone."""

    def __init__(self, model: CodeModel, gates: TokenRouters, config: GateTraining) -> None:
        super().__init__()
        self.gates = nn.ModuleList({id(g): g for g in gates if g is not None}.values())
        self.experts = nn.ModuleList()
        if config.experts:
            hard = any(gate is not None and _is_hard(gate) for gate in gates)
            for layer in expert_layers(model.model):
                layer.only_chosen = not hard  # a hard choice's gradient passes all of them
                # AdamW's small steps are lost in bfloat16.
                self.experts.append(layer.experts.float().requires_grad_(True))
        self.settings = config  # not `config`: the trainer looks for a model's there
        self._beside = (model, gates)
        self._step: _Step | None = None

    @contextmanager
    def step(self, batch: Mapping[str, torch.Tensor], temperature: float) -> Iterator[_Step]:
        """Route through the gates in the forward pass of this batch and in its backward pass,
        which runs layers again under gradient checkpointing."""
        model, gates = self._beside
        assert model.mixture is not None
        device = model.model.device
        active_BT1 = batch["active_BT1"].to(device)
        mask_N = (active_BT1[..., 0] * batch["attention_mask"].to(device)).flatten()
        own_N = batch["own_B"].to(device)[:, None].expand(batch["input_ids"].shape).flatten()

        collector = RoutingCollector()

        def router_of(layer: int, gate: LinearRouter) -> Callable[[torch.Tensor], Routing]:
            def route(x_ND: torch.Tensor) -> Routing:
                routing: Routing = gate(x_ND, mask_N)
                collector.report(layer, routing)
                return relaxed(routing, temperature) if _is_hard(gate) else routing

            return route

        routers = [None if g is None else router_of(i, g) for i, g in enumerate(gates)]
        with (
            collector.collect(for_loss=True) as routings,
            model.mixture.layers.use_tokens(routers, active_BT1),
        ):
            self._step = _Step(temperature, routings, mask_N, own_N)
            try:
                yield self._step
            finally:
                self._step = None

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        active_BT1: torch.Tensor,
        own_B: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        step, (model, _) = self._step, self._beside
        assert step is not None, "the trainer opens a step"
        language_model, _ = completion_loss(model.model, input_ids, attention_mask, labels)
        weights = {name: weight for name, weight in self.settings.losses.items() if weight}
        loss = torch.stack(
            [
                weight
                * (language_model if name == "language_model_loss" else _layer_loss(name, step))
                for name, weight in weights.items()
            ]
        ).sum()
        return {"loss": loss} | _figures(language_model, step)


def _layer_loss(name: str, step: _Step) -> torch.Tensor:
    """One of the router losses, as a mean over layers."""
    mask_N = step.mask_N
    losses: dict[str, Callable[[Routing], torch.Tensor]] = {
        "label_loss": lambda r: label_loss(r, step.own_N, mask_N),
        "balance_loss": lambda r: load_balance_loss(r, mask_N, step.prior_E),
        "z_loss": lambda r: z_loss(r, mask_N),
        "importance_loss": lambda r: importance_loss(r, mask_N),
        "load_loss": lambda r: load_loss(r, mask_N),
    }
    return torch.stack([losses[name](routing) for routing in step.routings.values()]).mean()


@torch.no_grad()
def _figures(language_model: torch.Tensor, step: _Step) -> dict[str, torch.Tensor]:
    """What tells whether routing gets better, over layers: the share of choices that are right, the
    entropy of the probabilities in nats, and the largest share of choices that one expert has."""
    real_N, routings = step.mask_N > 0, step.routings.values()
    right = [(r.gates_NE().argmax(-1) == step.own_N)[real_N].float().mean() for r in routings]
    entropy = [torch.special.entr(r.probs_NE[real_N]).sum(-1).mean() for r in routings]
    top = [_load(r, step.mask_N).max() for r in routings]
    return {
        "language_model": language_model.detach(),
        "accuracy": torch.stack(right).mean(),
        "entropy": torch.stack(entropy).mean(),
        "top_load": torch.stack(top).mean(),
    }


def _load(routing: Routing, mask_N: torch.Tensor) -> torch.Tensor:
    """The share of weight that each expert got, (E,): what was sent, for every kind of router."""
    sent_E = (routing.gates_NE() * mask_N[:, None]).sum(0)
    return sent_E / sent_E.sum().clamp_min(1e-9)


class _GateTrainer(DependableTrainer):
    """Cools the relaxation while training; logs routing beside the loss."""

    END_TEMPERATURE = 0.3

    def __init__(self, *args: Any, start_temperature: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_temperature = start_temperature
        self._seen: list[dict[str, torch.Tensor]] = []

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any) -> torch.Tensor:
        done = self.state.global_step / max(1, self.state.max_steps)
        cooling = min(1.0, self.END_TEMPERATURE / self.start_temperature)
        gates = self.accelerator.unwrap_model(model)
        with gates.step(inputs, self.start_temperature * cooling**done) as step:
            loss: torch.Tensor = super().training_step(model, inputs, *args)
            if gates.settings.bias_rate:
                _move_biases(gates, step)
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
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

    def figures_since_log(self) -> list[dict[str, float]]:
        return [{name: float(value) for name, value in one.items()} for one in self._seen]

    def restore_figures(self, figures: list[dict[str, float]]) -> None:
        device = self.args.device
        self._seen = [
            {name: torch.tensor(value, device=device) for name, value in one.items()}
            for one in figures
        ]


@torch.no_grad()
def _move_biases(gates: _Gates, step: _Step) -> None:
    """Sigmoid gates balance by a bias that no gradient moves (arXiv:2408.15664, algorithm 1)."""
    _, by_layer = gates._beside
    loads: dict[int, list[torch.Tensor]] = {}
    for layer, routing in step.routings.items():
        loads.setdefault(id(by_layer[layer]), []).append(expert_load(routing, step.mask_N))
    for gate in gates.gates:
        assert isinstance(gate, SigmoidRouter)
        load_E = torch.stack(loads[id(gate)]).mean(0)
        rate = gates.settings.bias_rate
        gate.balance_bias.copy_(update_bias(gate.balance_bias, load_E, rate, step.prior_E))
