"""Open checkpoints: a base by reference, LoRA experts as factors, a mixture, any MODEL argument."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from codemoe.artifacts import is_finished, read_manifest
from codemoe.errors import UserError
from codemoe.models.adapter_moe import MixtureLayers
from codemoe.models.adapters import (
    attach_experts_to,
    check_adapter,
    check_fits,
    load_expert,
)
from codemoe.models.model_card import read_training
from codemoe.models.reference import (
    REFERENCE,
    BaseReference,
    check_content,
    read_reference,
    resolve,
)
from codemoe.models.routers_file import (
    ROUTER_FILE,
    SequenceRouter,
    TokenRouters,
    load_routers,
)
from codemoe.models.storage.full_expert import expert_base, expert_files, is_full
from codemoe.recipe import BUILTIN

# What transformers raises for a checkpoint that is not there, is torn, or holds what no config may.
BROKEN = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)

MOE_FILE = "moe.json"
TRAINED_EXPERTS = "experts"  # beside a router file: experts that were trained with its gates


@dataclass(frozen=True)
class Mixture:
    """The experts inside a model and the routers that steer them."""

    layers: MixtureLayers
    experts: tuple[str, ...]
    expert_of_language: dict[str, str]
    activation: str  # all | completion
    sequence_router: SequenceRouter | None
    token_routers: TokenRouters


@dataclass(frozen=True)
class CodeModel:
    """What generates: a causal LM, its tokenizer, and its mixture when it is one."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    mixture: Mixture | None = None


def told(error: Exception) -> str:
    """An error of transformers in one line; of an unknown name it tells the name alone."""
    text = " ".join(str(error).split())
    return f"unknown value {text}" if isinstance(error, KeyError) else text


def _explain(error: Exception, model: str, what: str) -> UserError:
    folder = Path(model)
    if folder.is_dir():
        names = ", ".join(sorted(p.name for p in folder.iterdir())[:12]) or "nothing"
        return UserError(
            f"cannot load the {what} of {model}: {told(error)}; the folder holds {names}",
            "point at a Hugging Face checkpoint folder with config.json, tokenizer files and "
            "*.safetensors",
        )
    return UserError(
        f"cannot load the {what} of {model!r}, which is neither a folder here nor reachable on the "
        f"hub: {str(error).splitlines()[0]}",
        "check the spelling, or download it first: hf download MODEL",
    )


def load_tokenizer(reference: BaseReference) -> PreTrainedTokenizerBase:
    name = resolve(reference.model)
    folder = Path(name)
    if folder.is_dir() and not any(
        (folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")
    ):
        raise UserError(
            f"the checkpoint {name} has no tokenizer "
            "(tokenizer.json, tokenizer.model or vocab.json)",
            "save it beside the weights: tokenizer.save_pretrained(FOLDER)",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=reference.revision)
    except BROKEN as error:
        raise _explain(error, name, "tokenizer") from None
    if not tokenizer.is_fast:
        raise UserError(
            f"the tokenizer of {name} has no fast version, which codemoe needs to find the "
            "end-of-instruction marker",
            "convert it: AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(FOLDER)",
        )
    if tokenizer.pad_token_id is None:
        # Pads are masked everywhere; a tokenizer without an end token has some token to spare.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def load_base(reference: BaseReference) -> CodeModel:
    """The base in evaluation mode: float32 on a CPU, bfloat16 (or 4-bit) on a GPU."""
    name = resolve(reference.model)
    check_content(reference)
    tokenizer = load_tokenizer(reference)
    rows = read_config(reference).get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise UserError(
            f"the tokenizer of {name} has {len(tokenizer)} tokens but the model has {rows} rows of "
            "embeddings",
            "use the tokenizer that belongs to this checkpoint",
        )
    cuda = torch.cuda.is_available()
    options: dict[str, Any] = {"dtype": torch.bfloat16 if cuda else torch.float32}
    if reference.quantization == "4bit":
        options["quantization_config"] = _four_bit(options["dtype"])
    if cuda or reference.quantization == "4bit":
        # The current one: each of several training processes has its own.
        options["device_map"] = f"cuda:{torch.cuda.current_device()}" if cuda else "cpu"
    try:
        config = AutoConfig.from_pretrained(name, revision=reference.revision)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            name,
            config=config,
            revision=reference.revision,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
            **options,
        )
    except (*BROKEN, SafetensorError) as error:
        raise _explain(error, name, "model") from None
    model, found = loaded
    _check_whole(name, found)
    if reference.quantization == "4bit" and not cuda:
        _let_go_of_files(model)
        _leave_odd_shapes_unpacked(model)
    return CodeModel(model.eval(), tokenizer)


def _check_whole(name: str, found: Any) -> None:
    """Refuse what transformers would fill with random numbers, without a word that is heard."""
    wrong = [f"{tensor} (missing)" for tensor in sorted(found["missing_keys"])]
    wrong += [
        f"{tensor} ({list(stored)}, by its config {list(expected)})"
        for tensor, stored, expected in sorted(found["mismatched_keys"])
    ]
    if wrong:
        shown = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        raise UserError(
            f"the weights of {name} are not those of its config.json: {shown}",
            "copy the checkpoint again: config.json and all its *.safetensors",
        )


def _let_go_of_files(model: torch.nn.Module) -> None:
    """Copy what is still a view of the checkpoint's files (embeddings, norms).

    A file stays in memory whole for as long as one tensor is a view of it, with all the weights
    that were made into four bits.
    """
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()


_PACKED_OUTPUTS, _PACKED_INPUTS = 32, 64


def _leave_odd_shapes_unpacked(model: Any) -> None:
    """On processors with AVX512-BF16 bitsandbytes packs weights for inference, and fails for a
    projection that is no multiple of its blocks: such are multiplied as they are."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            odd = module.out_features % _PACKED_OUTPUTS or module.in_features % _PACKED_INPUTS
            module.support_avx512bf16_for_cpu &= not odd


def leave_unpacked(model: Any) -> None:
    """Say before any pass that a 4-bit model will be trained.

    Where bitsandbytes packs weights (processors with AVX512-BF16), it does so at the first pass in
    evaluation mode, and from then on no gradient reaches what is before them.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _four_bit(compute: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise UserError(
            "a 4-bit base needs bitsandbytes, which is not installed",
            "pip install 'codemoe[qlora]', or set base.quantization=none",
        ) from None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def attach_experts(
    base: CodeModel,
    adapters: dict[str, Path],
    activation: str,
    expert_of_language: dict[str, str] | None = None,
) -> CodeModel:
    """The base with these experts put into it (in place), without routers."""
    experts = []
    for name, folder in adapters.items():
        expert = load_expert(folder)
        check_fits(base.model, expert, f"expert {name!r} ({folder})")
        experts.append(expert)
    layers = attach_experts_to(base.model, experts)
    torch.nn.Module.to(base.model, base.model.device)
    mixture = Mixture(layers, tuple(adapters), expert_of_language or {}, activation, None, ())
    return replace(base, mixture=mixture)


def load_experts(
    reference: BaseReference,
    adapters: dict[str, Path],
    activation: str,
    expert_of_language: dict[str, str] | None = None,
) -> CodeModel:
    """A base with experts, without routers; what does not belong together is refused before any
    weight of the base is read."""
    config = read_config(reference)
    for name, folder in adapters.items():
        check_adapter(folder, reference, config, f"expert {name!r} ({folder})")
    return attach_experts(load_base(reference), adapters, activation, expert_of_language)


def read_config(reference: BaseReference) -> PreTrainedConfig:
    """The config of a base, without its weights."""
    name = resolve(reference.model)
    try:
        return AutoConfig.from_pretrained(name, revision=reference.revision)
    except BROKEN as error:
        raise _explain(error, name, "config") from None


def new_model(config: PreTrainedConfig, dtype: torch.dtype) -> Any:
    """A model of a config, with weights as they are born."""
    try:
        return AutoModelForCausalLM.from_config(config, dtype=dtype)
    except BROKEN as error:
        raise UserError(
            f"no {config.model_type} can be made of its config: {told(error)}",
            "mend config.json, or point base.model at another checkpoint",
        ) from None


def read_mixture(moe_dir: Path) -> tuple[BaseReference, dict[str, Any]]:
    """The base of a `moe/` directory, and what `moe.json` says of its experts."""
    try:
        description = json.loads((moe_dir / MOE_FILE).read_text())
        reference = BaseReference(**description["base"])
        # What is missing is named here, not where it is needed.
        _ = description["activation"], dict(description["expert_of_language"])
        _ = [(entry["name"], entry["path"]) for entry in description["experts"]]
    except FileNotFoundError:
        raise UserError(f"{moe_dir} is not a mixture (it has no {MOE_FILE})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{moe_dir / MOE_FILE} is damaged: {type(error).__name__} {error}",
            "make it again: codemoe moe RECIPE --force",
        ) from None
    if not Path(reference.model).is_absolute() and (moe_dir / reference.model).is_dir():
        reference = replace(reference, model=str((moe_dir / reference.model).resolve()))
    return reference, description


def expert_folders(
    moe_dir: Path, description: dict[str, Any], router_file: Path | None = None
) -> dict[str, Path]:
    """Where the experts of these routers lie: the mixture's own, or as trained with the gates."""
    trained = moe_dir if router_file is None else router_file.parent
    if trained.resolve() != moe_dir.resolve() and (trained / TRAINED_EXPERTS).is_dir():
        return {e["name"]: trained / TRAINED_EXPERTS / e["name"] for e in description["experts"]}
    return {entry["name"]: moe_dir / entry["path"] for entry in description["experts"]}


def load_mixture(moe_dir: Path, router_file: Path | None = None) -> CodeModel:
    """A `moe/` directory with the routers of `router_file` (its own when None)."""
    reference, description = read_mixture(moe_dir)
    adapters = expert_folders(moe_dir, description, router_file)
    config = read_config(reference)
    sequence, token_routers = load_routers(
        router_file or moe_dir / ROUTER_FILE,
        list(adapters),
        config.num_hidden_layers,
        config.hidden_size,
    )
    model = load_experts(
        reference, adapters, description["activation"], description["expert_of_language"]
    )
    assert model.mixture is not None
    device = model.model.device
    for router in (*token_routers, None if sequence is None else sequence.router):
        if router is not None:
            router.to(device)
    return replace(
        model,
        mixture=replace(model.mixture, sequence_router=sequence, token_routers=token_routers),
    )


def find_mixture(path: Path) -> tuple[Path, Path] | None:
    """The `moe/` directory and the router file of a run, a stage or a mixture's folder."""
    if is_finished(path / "router"):
        return path / "moe", path / "router" / ROUTER_FILE
    if is_finished(path / "moe"):
        return path / "moe", path / "moe" / ROUTER_FILE
    if (path / MOE_FILE).is_file():
        return path, path / ROUTER_FILE
    if (path / ROUTER_FILE).is_file() and is_finished(path):
        return path.parent / "moe", path / ROUTER_FILE
    return None


def load_model(argument: str) -> CodeModel:
    """Any MODEL: a run (its newest finished mixture), a stage directory, a checkpoint, a hub id."""
    path = Path(argument)
    if argument == BUILTIN:
        return load_base(BaseReference(BUILTIN))
    if not path.exists():
        return load_base(BaseReference(argument))
    mixture = find_mixture(path)
    if mixture is not None:
        return load_mixture(*mixture)
    if (path / "adapter_config.json").is_file() or is_full(path):
        return _load_single_adapter(path)
    if (path / REFERENCE).is_file():
        return load_base(read_reference(path))
    if (path / "config.json").is_file():
        return load_base(BaseReference(str(path)))
    names = ", ".join(sorted(p.name for p in path.iterdir())[:12]) if path.is_dir() else "a file"
    raise UserError(
        f"{path} is no model codemoe can open (found {names or 'nothing'})",
        "give a run directory, a stage directory, a Hugging Face checkpoint folder or a hub id",
    )


def _load_single_adapter(path: Path) -> CodeModel:
    """One expert of a run, or any PEFT LoRA or full-MLP directory, on the base it names."""
    kind = read_manifest(path)["kind"] if is_finished(path) else None
    run_dir = path.parent.parent.parent if kind == "aligned" else path.parent.parent
    base_dir = run_dir / "base"
    of_a_run = kind in ("expert", "dense", "aligned")
    if of_a_run and is_finished(base_dir):
        reference = read_reference(base_dir)
    else:
        name = expert_base(path)
        if name is None:
            raise UserError(
                f"{path / expert_files(path)[0]} does not say which base it belongs to "
                "(base_model_name_or_path is missing or no text)",
                "write the checkpoint's folder or hub id there",
            )
        reference = BaseReference(name)
    languages = read_training([path]).languages
    return load_experts(reference, {path.name: path}, "all", dict.fromkeys(languages, path.name))
