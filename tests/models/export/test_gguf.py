"""GGUF exports, computed by a real llama.cpp.

Run with: pytest tests/models/export/test_gguf.py
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from codemoe.errors import UserError, WorkError
from codemoe.models.export import gguf_vocabulary, llama_cpp
from codemoe.models.export.check import PROBES
from codemoe.models.export.command import export_model
from codemoe.models.export.llama_cpp import interleaved
from tests.models.export.mixtures import write_mixture
from tests.models.export.test_sparse import LLAMA3_ROPE

gguf = pytest.importorskip("gguf", reason="pip install 'codemoe[gguf]'")
pytest.importorskip("xllamacpp", reason="pip install 'codemoe[gguf]'")

LINEAR_ROPE = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
CASES: dict[str, tuple[str, dict[str, Any], float]] = {
    "mistral": ("mistral", {}, 1e-3),
    "mistral, tied, theta": (
        "mistral",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "rope_theta": 99.0},
            "rms_norm_eps": 1e-2,
        },
        1e-3,
    ),
    "llama 3": ("llama", {"rope_parameters": LLAMA3_ROPE, "head_dim": 12}, 1e-3),
    "llama, linear": ("llama", {"rope_parameters": LINEAR_ROPE}, 1e-3),
}


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_computes_the_mixture(tmp_path: Path, case: str) -> None:
    model_type, config, bound = CASES[case]
    run = write_mixture(tmp_path / "run", model_type, **config)
    result = export_model(str(run), tmp_path / "out", "gguf")
    assert result["max_abs_logit_difference"] < bound
    assert result["tokens"] > 20
    assert result["checked_by"].startswith("llama.cpp")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md",
        "codemoe.json",
        "model.gguf",
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    run = write_mixture(tmp_path / "run", "mistral", dtype=dtype)
    export_model(str(run), tmp_path / "out", "gguf")
    reader = gguf.GGUFReader(tmp_path / "out" / "model.gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    stored = {torch.float16: "F16", torch.bfloat16: "BF16"}[dtype]
    assert kinds["blk.1.ffn_up_exps.weight"] == kinds["token_embd.weight"] == stored
    assert kinds["blk.1.ffn_gate_inp.weight"] == kinds["output_norm.weight"] == "F32"
    assert "at the median position" in (tmp_path / "out" / "README.md").read_text()


def _sentencepiece_like() -> PreTrainedTokenizerFast:
    """As Llama 2 and Mistral have it: no splitting, spaces as U+2581, bytes for what is unknown."""
    spaces = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    learner = Tokenizer(models.BPE())
    learner.normalizer = spaces  # type: ignore[assignment]
    texts = [
        f"### Task: {text}\n### Language: Python\n### Code:\n{code}" for _, text, code in PROBES[:2]
    ]
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=110, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    known = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    known += sorted(learned["vocab"], key=learned["vocab"].get)
    backend = Tokenizer(
        models.BPE(
            {text: i for i, text in enumerate(known)},
            [tuple(pair) for pair in learned["merges"]],
            unk_token="<unk>",
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    backend.normalizer = spaces  # type: ignore[assignment]
    backend.decoder = decoders.Sequence(  # type: ignore[assignment]
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def test_a_sentencepiece_tokenizer(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    tokenizer = _sentencepiece_like()
    tokenizer.save_pretrained(run / "base")
    ids = AutoTokenizer.from_pretrained(run / "base")(PROBES[2][2])["input_ids"]
    assert any(3 <= token < 259 for token in ids), "some bytes for this test to matter"
    assert export_model(str(run), tmp_path / "out", "gguf")["max_abs_logit_difference"] < 1e-3


def test_a_wrong_order_of_rotary_rows_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    monkeypatch.setattr(llama_cpp, "interleaved", lambda weight, heads: weight)
    with pytest.raises(WorkError, match=r"the export is not the mixture.*llama\.cpp"):
        export_model(str(run), tmp_path / "out", "gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_wrong_tokenizer_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without merges llama.cpp reads bytes."""
    run = write_mixture(tmp_path / "run", "mistral")
    right = gguf_vocabulary.Vocabulary.add_to

    def without_merges(self: gguf_vocabulary.Vocabulary, writer: Any) -> None:
        right(self, writer)
        writer.kv_data[0]["tokenizer.ggml.merges"].value = ["a b"]

    monkeypatch.setattr(gguf_vocabulary.Vocabulary, "add_to", without_merges)
    with pytest.raises(WorkError, match="tokens where the base's tokenizer reads"):
        export_model(str(run), tmp_path / "out", "gguf")


def test_rows_by_hand() -> None:
    """Two heads of four rows: halves (0 1 | 2 3) become neighbours 0 2 1 3."""
    rows = torch.arange(8.0)[:, None]
    assert interleaved(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "config", "part"),
    [
        ("mistral", {"hidden_act": "gelu"}, "MLPs use gelu"),
        (
            "llama",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "dynamic rotary embeddings",
        ),
        ("qwen2", {}, "a qwen2 base cannot become"),
    ],
)
def test_refusals(tmp_path: Path, base: str, config: dict[str, Any], part: str) -> None:
    run = write_mixture(tmp_path / "run", base, **config)
    with pytest.raises(UserError, match=part):
        export_model(str(run), tmp_path / "out", "gguf")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_llama_cpp_has_no_name_for(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    file = run / "base" / "tokenizer.json"
    parts = json.loads(file.read_text())
    digits = {"type": "Digits", "individual_digits": True}
    parts["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, parts["pre_tokenizer"]]}
    file.write_text(json.dumps(parts))
    with pytest.raises(UserError, match="splits text by Digits, ByteLevel"):
        export_model(str(run), tmp_path / "out", "gguf")


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(UserError, match=r"needs xllamacpp.*\n.*codemoe\[gguf\]"):
        export_model(str(run), tmp_path / "out", "gguf")


def test_the_sliding_window_bounds_the_context(tmp_path: Path) -> None:
    """llama.cpp attends to all of a context, which is the same up to the window."""
    run = write_mixture(tmp_path / "run", "mistral", sliding_window=128)
    export_model(str(run), tmp_path / "out", "gguf")
    field = gguf.GGUFReader(tmp_path / "out" / "model.gguf").fields["llama.context_length"]
    assert int(field.parts[-1][0]) == 128
