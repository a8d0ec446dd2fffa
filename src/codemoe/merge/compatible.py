"""Do models fit together? What differs is refused by name, until somebody says whose wins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codemoe.errors import UserError
from codemoe.merge.model import Model, first_of
from codemoe.merge.tokens import Tokenizer, rows_of

# What one setting is called in configs of different ages and types.
NAMES: dict[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "num_heads"),
    "num_key_value_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "hidden_act": ("hidden_act", "activation_function", "hidden_activation"),
    "norm_eps": ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
    "rope_theta": ("rope_theta", "rope_parameters", "rotary_emb_base"),
    "rope_scaling": ("rope_scaling", "rope_parameters"),
    "partial_rotary_factor": ("partial_rotary_factor", "rotary_pct", "rotary_dim"),
    "sliding_window": ("sliding_window", "use_sliding_window"),
    "layer_types": ("layer_types",),
    "tie_word_embeddings": ("tie_word_embeddings",),
    "attention_bias": ("attention_bias",),
    "mlp_bias": ("mlp_bias",),
    "attn_logit_softcapping": ("attn_logit_softcapping",),
    "final_logit_softcapping": ("final_logit_softcapping",),
    "query_pre_attn_scalar": ("query_pre_attn_scalar",),
    "bos_token_id": ("bos_token_id",),
    "eos_token_id": ("eos_token_id",),
    "pad_token_id": ("pad_token_id",),
}
# Another value is another shape of weights: nobody's choice can mend that.
_SHAPES = ("hidden_size", "intermediate_size")
_TIED_TYPES = ("gpt2", "gpt_neo", "gemma", "gemma2", "gemma3_text", "codegen")
VOCABULARY, VOCAB_SIZE = "vocabulary", "vocab_size"
SPECIAL, TEMPLATE = "special_tokens", "chat_template"
TOKEN_KEYS = (VOCABULARY, VOCAB_SIZE, SPECIAL, "bos_token_id", "eos_token_id", "pad_token_id")
KEYS = ("model_type", *NAMES, *TOKEN_KEYS[:3], TEMPLATE)


@dataclass(frozen=True)
class Choices:
    """Whose settings the result has, where models differ; all others are the first model's."""

    of: Mapping[str, Model] = field(default_factory=dict)


def signature(model: Model) -> dict[str, Any]:
    """The settings that decide what a model computes, under one name each."""
    config = model.config
    found = {key: first_of(config, *names) for key, names in NAMES.items()}
    rope = config.get("rope_parameters") or {}
    if not isinstance(rope, dict):
        raise UserError(
            f"{model.folder / 'config.json'}: rope_parameters is {rope!r}; expected keys and values"
        )
    scaling = config.get("rope_scaling") or {k: v for k, v in rope.items() if k != "rope_theta"}
    if isinstance(scaling, dict):
        scaling = {("rope_type" if k == "type" else k): v for k, v in scaling.items()}
        scaling = {k: v for k, v in scaling.items() if k != "rope_theta"}
        if scaling.get("rope_type", "default") == "default":
            scaling = {}
    heads, size = found["num_attention_heads"], found["hidden_size"]
    found |= {
        "rope_theta": first_of(config, "rope_theta", "rotary_emb_base")
        or rope.get("rope_theta", 10000.0),
        "rope_scaling": scaling or None,
        "num_key_value_heads": found["num_key_value_heads"] or heads,
        "head_dim": found["head_dim"] or (size // heads if size and heads else None),
        "sliding_window": found["sliding_window"]
        if config.get("use_sliding_window", True) is not False
        else None,
        "attention_bias": bool(found["attention_bias"]),
        "mlp_bias": bool(found["mlp_bias"]),
    }
    if found["tie_word_embeddings"] is None:
        found["tie_word_embeddings"] = config.get("model_type") in _TIED_TYPES
    return {"model_type": config.get("model_type")} | found


def check_models(
    models: Sequence[Model],
    prefer: Mapping[str, str],
    settled: Sequence[str] = (),
    other_layers: bool = False,
) -> Choices:
    """Raise one UserError that names every setting in which models differ from the first.

    `prefer` says for a key (one of KEYS) which model's value the result has; `settled` are keys
    that the recipe itself decides; `other_layers` allows models of different depth.
    """
    chosen = _chosen(models, prefer)
    first, problems, final = models[0], [], []
    for model in models[1:]:
        for key, mine, theirs in _differences(first, model):
            if key in settled or (other_layers and key in ("num_hidden_layers", "layer_types")):
                continue
            line = f"{key}: {first.text} has {_short(mine)}, {model.text} has {_short(theirs)}"
            if key in _SHAPES or (key == "model_type"):
                final.append(line)
            elif key not in chosen and line not in problems:
                problems.append(line)
    if final:
        raise UserError(
            "these models are of different architectures and cannot be merged:\n  "
            + "\n  ".join(final)
        )
    if problems:
        key = problems[0].partition(":")[0]
        raise UserError(
            "the models do not fit together:\n  " + "\n  ".join(problems),
            f"say whose the result has, such as --prefer {key}={first.text}, for each"
            + (
                "; or tokenizer_source: in the recipe, which decides all of tokens"
                if any(p.partition(":")[0] in TOKEN_KEYS for p in problems)
                else ""
            ),
        )
    return Choices(chosen)


def _chosen(models: Sequence[Model], prefer: Mapping[str, str]) -> dict[str, Model]:
    by_text = {model.text: model for model in models} | {"base": models[0]}
    chosen = {}
    for key, text in prefer.items():
        if key not in KEYS:
            raise UserError(
                f"--prefer {key}={text}: there is no such setting", f"one of {', '.join(KEYS)}"
            )
        if text not in by_text:
            raise UserError(
                f"--prefer {key}={text}: the recipe has no model {text!r}",
                f"base, or as the recipe writes it: {', '.join(m.text for m in models)}",
            )
        chosen[key] = by_text[text]
    return chosen


def _differences(first: Model, other: Model) -> list[tuple[str, Any, Any]]:
    mine, theirs = signature(first), signature(other)
    found = [(key, mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]]
    own, its = Tokenizer(first.folder), Tokenizer(other.folder)
    if not own.same_vocabulary(its):
        found.append((VOCABULARY, *_tokens_apart(own, its)))
    if rows_of(first) != rows_of(other):
        found.append((VOCAB_SIZE, rows_of(first), rows_of(other)))
    if own.exists and its.exists:
        if own.special != its.special:
            roles = [
                r for r in own.special | its.special if own.special.get(r) != its.special.get(r)
            ]
            found.append(
                (
                    SPECIAL,
                    {role: own.special.get(role) for role in roles},
                    {role: its.special.get(role) for role in roles},
                )
            )
        if own.template != its.template:
            found.append((TEMPLATE, own.template, its.template))
    return found


def _tokens_apart(own: Tokenizer, its: Tokenizer) -> tuple[str, str]:
    """Both vocabularies in words: their sizes, and a token that tells them apart."""
    mine, theirs = own.vocabulary, its.vocabulary
    if mine is None or theirs is None:
        return "one tokenizer", "another tokenizer"
    apart = next(t for t in mine | theirs if mine.get(t) != theirs.get(t))
    return (
        f"{len(mine)} tokens, {apart!r} is {mine.get(apart, 'not one')}",
        f"{len(theirs)} tokens, {apart!r} is {theirs.get(apart, 'not one')}",
    )


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(str(text).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def merged_config(first: Model, choices: Choices) -> dict[str, Any]:
    """The first model's config with the chosen settings of others."""
    config = dict(first.config)
    for key, model in choices.of.items():
        if key not in NAMES or model is first:
            continue
        for name in NAMES[key]:
            config.pop(name, None)
        for name in NAMES[key]:
            if name in model.config:
                config[name] = model.config[name]
    return config
