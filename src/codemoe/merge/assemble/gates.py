"""Where a mixture's gates start: mergekit-moe's modes, and codemoe's own.

All return one (E, D) float32 matrix a layer, or (E + S, D) where shared experts have prompts too.
random: independent normals of variance 1. uniform_random: as nn.Linear starts. orthogonal:
orthonormal rows. cheap_embed: embeddings of the prompts, the same in every layer. hidden,
hidden_last: what enters a layer at a prompt's last token; hidden_avg: the mean over its tokens.
(mergekit averages over pads too and computes in bfloat16; here are no pads, and float32.)
prompts: what the gate itself will see, after the norm before the MLP, pooled over each prompt,
without the direction that all share. fitted: a linear classifier a layer on labelled text.
"""

# L layers, E experts, D model, T tokens, N samples

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.assemble.recipe import PROMPTED, Expert, MoeRecipe
from codemoe.merge.model import Model, first_of
from codemoe.models.storage.read import Files
from codemoe.progress import progress, say

if TYPE_CHECKING:
    from codemoe.models.load import CodeModel

_TINY = 1e-8
_ROWS_PER_EXPERT = 200
_TOKENS_PER_ROW = 256
_CONDITION = 5.0  # of a gate's rows: beyond, mergekit calls it degenerate


def make_gates(
    recipe: MoeRecipe,
    base: Model,
    experts: Sequence[Model],
    files: Files,
    seed: int,
    data: Sequence[str],
) -> list[np.ndarray]:
    """The gates of every layer: one row an expert, then one a shared expert where it needs one.

    Raises UserError for missing or identical prompts and for data that cannot tell experts apart.
    """
    num_layers = base.layers[1]
    size = int(first_of(base.config, "hidden_size", "n_embd", default=0))
    listed = [*recipe.experts, *(recipe.shared_experts or ())]
    mode = recipe.gate_mode
    if mode != "fitted" and data:
        raise UserError(
            f"--data is for gate_mode: fitted; the recipe has gate_mode: {mode}",
            "change the mode, or leave out --data",
        )
    if mode in PROMPTED:
        _check_prompts(recipe)
        gates = _PROMPTED[mode](base, listed, files, num_layers)
    elif mode == "fitted":
        gates = _fitted(base, experts, data)
    else:
        gates = [_drawn(mode, len(listed), size, seed, layer) for layer in range(num_layers)]
    _warn_alike([gate_ED[: len(recipe.experts)] for gate_ED in gates], mode)
    return gates


def _drawn(mode: str, count: int, size: int, seed: int, layer: int) -> np.ndarray:
    random = np.random.Generator(np.random.PCG64([seed, layer]))
    if mode == "orthogonal":
        import torch

        from codemoe.routing.init import orthogonal_gate

        generator = torch.Generator().manual_seed(seed * 100_003 + layer)
        return orthogonal_gate(count, size, generator).numpy()
    if mode == "uniform_random":
        bound = (1 / size) ** 0.5
        return random.uniform(-bound, bound, (count, size)).astype(np.float32)
    return random.standard_normal((count, size), np.float32)


def _check_prompts(recipe: MoeRecipe) -> None:
    prompts = [(e.positive_prompts, e.negative_prompts) for e in recipe.experts]
    without = [e.source_model for e in recipe.experts if not e.positive_prompts]
    if without:
        raise UserError(
            f"gate_mode: {recipe.gate_mode} starts gates from prompts, and {without[0]} has no "
            "positive_prompts",
            "give every expert some, or set gate_mode: random or fitted",
        )
    for place, own in enumerate(prompts):
        if own in prompts[:place] and len(prompts) > 1:
            other = recipe.experts[prompts.index(own)].source_model
            raise UserError(
                f"{other} and {recipe.experts[place].source_model} have the same prompts, so no "
                "input could tell them apart",
                "give them prompts that differ, or fit the gates: gate_mode: fitted",
            )
    shared = recipe.shared_experts or ()
    if any(not e.positive_prompts for e in shared):
        raise UserError(
            f"gate_mode: {recipe.gate_mode} needs positive_prompts of shared experts, too",
            "give them some, or set gate_mode: random",
        )


def _normalized(rows: np.ndarray) -> np.ndarray:
    """Rows at length 1."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    found: np.ndarray = (rows / np.maximum(lengths, _TINY)).astype(np.float32)
    return found


def _from_prompts(
    experts: Sequence[Expert], features: Callable[[Sequence[str]], np.ndarray], num_layers: int
) -> list[np.ndarray]:
    """Positive minus negative features (L, D) of each expert, at length 1."""
    rows = []
    with progress("gates: read prompts", len(experts), "experts") as advance:
        for expert in experts:
            row_LD = features(expert.positive_prompts)
            if expert.negative_prompts:
                row_LD = row_LD - features(expert.negative_prompts)
            rows.append(_normalized(row_LD))
            advance(1, "")
    stacked_ELD = np.stack(rows)
    return [stacked_ELD[:, layer] for layer in range(num_layers)]


def _tokenizer(base: Model) -> Any:
    from codemoe.models.load import load_tokenizer
    from codemoe.models.reference import BaseReference

    return load_tokenizer(BaseReference(str(base.folder)))


def _ids(tokenizer: Any, prompt: str) -> list[int]:
    """As mergekit reads prompts: the start token, then the text and nothing else."""
    ids = tokenizer((tokenizer.bos_token or "") + prompt, add_special_tokens=False)["input_ids"]
    if not ids:
        raise UserError(f"the prompt {prompt!r} has no tokens")
    return list(ids)


def _cheap(
    base: Model, experts: Sequence[Expert], files: Files, num_layers: int
) -> list[np.ndarray]:
    tokenizer = _tokenizer(base)
    source = base.source(files, base.embedding or "")
    if source is None:
        raise UserError(f"{base.text} has no embedding under a known name")
    width = source.shape[1]

    def features(prompts: Sequence[str]) -> np.ndarray:
        total, row = np.zeros(width, np.float32), np.empty(width, np.float32)
        for prompt in prompts:
            for token in _ids(tokenizer, prompt):
                source.fill(token * width, row)
                total += row
        return np.repeat(_normalized(total[None]), num_layers, axis=0)

    return _from_prompts(experts, features, num_layers)


def _model(base: Model) -> "CodeModel":
    from codemoe.models.load import load_base
    from codemoe.models.reference import BaseReference

    say(f"gates: loading the base {base.text} to read what its layers see")
    return load_base(BaseReference(str(base.folder)))


def _hidden(average: bool) -> Callable[..., list[np.ndarray]]:
    def gates(
        base: Model, experts: Sequence[Expert], files: Files, num_layers: int
    ) -> list[np.ndarray]:
        import torch

        loaded = _model(base)

        @torch.no_grad()
        def features(prompts: Sequence[str]) -> np.ndarray:
            found = []
            for prompt in prompts:  # one by one: no pads, and no memory for all of them
                ids_1T = torch.tensor([_ids(loaded.tokenizer, prompt)]).to(loaded.model.device)
                states = loaded.model(
                    input_ids=ids_1T, output_hidden_states=True, use_cache=False, logits_to_keep=1
                ).hidden_states[:-1]
                x_LTD = torch.stack([state[0].float().cpu() for state in states])
                found.append((x_LTD.mean(1) if average else x_LTD[:, -1]).numpy())
            return np.asarray(np.mean(found, axis=0))

        return _from_prompts(experts, features, num_layers)

    return gates


def _true_inputs(
    base: Model, experts: Sequence[Expert], files: Files, num_layers: int
) -> list[np.ndarray]:
    import torch

    from codemoe.models.features import mlp_inputs
    from codemoe.routing.init import prompt_gate

    loaded = _model(base)
    rows, labels, signs = [], [], []
    for label, expert in enumerate(experts):
        for sign, prompts in ((1, expert.positive_prompts), (-1, expert.negative_prompts)):
            for prompt in prompts:
                ids_1T = torch.tensor([_ids(loaded.tokenizer, prompt)]).to(loaded.model.device)
                with torch.no_grad(), mlp_inputs(loaded.model, list(range(num_layers))) as seen:
                    loaded.model(input_ids=ids_1T, use_cache=False, logits_to_keep=1)
                    inputs = [seen[layer][0].float().mean(0).cpu() for layer in range(num_layers)]
                rows.append(torch.stack(inputs))
                labels.append(label)
                signs.append(sign)
    x_LND = torch.stack(rows, dim=1)
    labels_N, signs_N = torch.tensor(labels), torch.tensor(signs)
    return [prompt_gate(x_ND, labels_N, signs_N, len(experts)).numpy() for x_ND in x_LND]


def _fitted(base: Model, experts: Sequence[Model], data: Sequence[str]) -> list[np.ndarray]:
    """Multinomial ridge a layer on true router inputs at the tokens of labelled code."""
    import torch

    from codemoe.models.features import mlp_inputs
    from codemoe.routing.fit import fit_router

    texts = _labelled(experts, data)
    loaded = _model(base)
    num_layers = base.layers[1]
    parts: list[list[Any]] = [[] for _ in range(num_layers)]
    labels, groups = [], []
    with progress("gates: read labelled text", len(texts), "texts") as advance:
        for group, (text, label) in enumerate(texts):
            ids = _ids(loaded.tokenizer, text)[:_TOKENS_PER_ROW]
            ids_1T = torch.tensor([ids]).to(loaded.model.device)
            with torch.no_grad(), mlp_inputs(loaded.model, list(range(num_layers))) as seen:
                loaded.model(input_ids=ids_1T, use_cache=False, logits_to_keep=1)
                step = max(1, len(ids) // 32)
                for layer in range(num_layers):
                    parts[layer].append(seen[layer][0, ::step].float().cpu())
            count = len(parts[0][-1])
            labels += [label] * count
            groups += [group] * count
            advance(1, "")
    labels_N, groups_N = torch.tensor(labels), torch.tensor(groups)
    fits = [
        fit_router(torch.cat(part), labels_N, len(experts), groups_N=groups_N, bias=False)
        for part in parts
    ]
    shown = ", ".join(f"{fit.accuracy:.3f}" for fit in fits)
    say(f"gates: cross-validated accuracy by layer: {shown}")
    return [fit.weight_ED.numpy() for fit in fits]


def _labelled(experts: Sequence[Model], data: Sequence[str]) -> list[tuple[str, int]]:
    """Up to some rows of each expert, with its number. An expert's language is the one that its
    folder is named after."""
    from codemoe.data.rows import Row
    from codemoe.data.sources import read_rows
    from codemoe.languages import find_language

    if not data:
        raise UserError(
            "gate_mode: fitted learns from labelled text, and there is none", "--data ROWS.jsonl"
        )
    languages: dict[str, int] = {}
    for number, expert in enumerate(experts):
        folder = expert.lora or expert.folder
        words = [folder.name, *folder.name.replace("_", "-").replace(".", "-").split("-")]
        known = [row for word in words if (row := find_language(word))]
        languages[known[0].name if known else folder.name.lower()] = number
    if len(languages) < len(experts):
        raise UserError(
            "two experts are named after one language, so no row says which is meant",
            "name their folders after what they are for",
        )
    rows = [r for path in data for r in read_rows(path, fields={}) if isinstance(r, Row)]
    found: list[tuple[str, int]] = []
    for language, number in languages.items():
        own = [row for row in rows if row.language == language]
        if len(own) < 10:
            raise UserError(
                f"--data has {len(own)} rows of {language}; fitting needs at least 10 of every "
                f"expert's ({', '.join(languages)})",
                "give more rows, or name the experts' folders after the rows' languages",
            )
        count = min(len(own), _ROWS_PER_EXPERT)
        chosen = [own[i * len(own) // count] for i in range(count)]
        found += [(f"{row.text}\n{row.code}", number) for row in chosen]
    return found


def _warn_alike(gates: Sequence[np.ndarray], mode: str) -> None:
    """Say when rows of a gate are so alike that some experts would hardly ever be chosen."""
    alike = [
        layer
        for layer, gate_ED in enumerate(gates)
        if mode in PROMPTED and np.linalg.cond(gate_ED.astype(np.float64)) > _CONDITION
    ]
    if alike:
        where = "all layers" if len(alike) == len(gates) else f"layers {alike}"
        say(
            f"note: the gates of {where} are nearly the same for several experts; prompts that "
            "differ more, or gate_mode: fitted with --data, tell them apart"
        )


_PROMPTED: dict[str, Callable[..., list[np.ndarray]]] = {
    "cheap_embed": _cheap,
    "hidden": _hidden(average=False),
    "hidden_last": _hidden(average=False),
    "hidden_avg": _hidden(average=True),
    "prompts": _true_inputs,
}


def data_files(data: Sequence[str]) -> dict[str, str]:
    """What the result depends on of --data: sizes and times."""
    found = {}
    for path in map(Path, data):
        if path.is_file():
            stat = path.stat()
            found[str(path)] = f"{stat.st_size} {stat.st_mtime_ns}"
    return found
