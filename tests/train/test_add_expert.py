"""Hot-add: the old experts and their routing are as before; the new expert gets its language."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from codemoe import cli
from codemoe.data.prompt import encode_prompt
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.ask import Question, answer
from codemoe.models.generate import route_prompts
from codemoe.models.load import CodeModel, attach_experts, load_base, load_model
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import ROUTER_FILE, load_routers, save_routers
from codemoe.routing.extend import MAX_OLD_CHANGED
from codemoe.train.add_expert import add_expert
from codemoe.train.router_features import KINDS
from tests.models.full import random_full
from tests.test_docs import keys_under
from tests.train.hot_add import WORDS, Setting, make_setting, rows_file, rows_of


@pytest.fixture(scope="module")
def made(setting: Setting) -> dict[str, Any]:
    return add_expert(str(setting.run), setting.adapter, "rust", [setting.rust])


def _choices(model: CodeModel, rows: Sequence[Row], named: bool = True) -> list[str]:
    prompts = [
        encode_prompt(model.tokenizer, row.text, row.language if named else None) for row in rows
    ]
    return [choice.expert for choice in route_prompts(model, prompts)]


def test_the_new_mixture_is_whole_and_lies_beside_the_old(
    setting: Setting, made: dict[str, Any]
) -> None:
    out = setting.run.with_name("tiny-rust")
    assert {key: made[key] for key in ("path", "experts")} == {
        "path": str(out),
        "experts": ["python", "java", "rust"],
    }
    assert made["old_changed"] <= MAX_OLD_CHANGED
    assert made["new_routed"] > 0.97
    assert made["seconds"] > 0
    told = json.loads((out / "moe.json").read_text())
    assert told["base"]["model"] == str((setting.run / "base").resolve())
    assert told["base"]["sha256"] is not None
    assert told["expert_of_language"] == {"python": "python", "java": "java", "rust": "rust"}
    metrics = json.loads((out / "routing_metrics.json").read_text())
    assert set(metrics) == keys_under("## A mixture with an expert added later")
    assert metrics["old_changed"] == made["old_changed"]
    assert metrics["new_routed"] == made["new_routed"]
    assert set(metrics["new_routed_by_kind"]) == set(KINDS)
    assert set(metrics["old_changed_by_language"]) == {"python", "java"}
    # Validation rows first, then training rows: 52 problems of each language, three samples each.
    assert metrics["samples"] == {"new": 30 * len(KINDS), "old": 2 * 52 * len(KINDS)}


def test_old_experts_answer_as_before(setting: Setting, made: dict[str, Any]) -> None:
    _check_answers(setting, made)


def test_whole_mlps_are_added_too(tmp_path: Path) -> None:
    setting = make_setting(tmp_path, whole_mlps=True)
    made = add_expert(str(setting.run), setting.adapter, "rust", [setting.rust])
    assert made["experts"] == ["python", "java", "rust"]
    assert made["new_routed"] > 0.97
    _check_answers(setting, made)
    new = load_model(made["path"])
    rows = [*rows_of("python", range(52, 60)), *rows_of("java", range(52, 60))]
    assert _choices(new, rows) == [row.language for row in rows]
    assert _choices(new, rows_of("rust", range(130, 150))) == ["rust"] * 20


def test_whole_mlps_beside_adapters(setting: Setting, tmp_path: Path) -> None:
    whole = random_full(setting.run / "base", tmp_path / "whole", 3)
    both = replace(setting, adapter=whole)
    made = add_expert(str(setting.run), whole, "rust", [setting.rust], out=tmp_path / "out")
    _check_answers(both, made)


def _check_answers(setting: Setting, made: dict[str, Any]) -> None:
    """The base and every old expert as before, the new one as it is alone on the base."""
    old, new = load_model(str(setting.run)), load_model(made["path"])
    alone = attach_experts(
        load_base(BaseReference(str(setting.run / "base"))), {"rust": setting.adapter}, "all"
    )
    assert old.mixture is not None
    assert new.mixture is not None
    assert alone.mixture is not None
    ids_BT = torch.randint(3, 400, (2, 13), generator=torch.Generator().manual_seed(0))

    def logits(model: CodeModel, expert: int | None) -> torch.Tensor:
        assert model.mixture is not None
        count = len(model.mixture.experts)
        gates = None if expert is None else one_hot_gates(torch.tensor([expert] * 2), count)
        with torch.no_grad(), model.mixture.layers.use(gates):
            return model.model(input_ids=ids_BT).logits

    bare = logits(old, None)
    assert torch.equal(logits(new, None), bare)
    for index in range(2):
        before = logits(old, index)
        assert (before - bare).abs().max() > 0.01, "the expert must matter for this test to"
        # float32 rounding: the stacked factors are summed in another order.
        assert (logits(new, index) - before).abs().max() <= 1e-5
    assert (logits(new, 2) - logits(alone, 0)).abs().max() <= 1e-5
    assert (logits(new, 2) - logits(old, 1)).abs().max() > 0.01  # the wrong twin


def test_old_routing_is_as_before(setting: Setting, made: dict[str, Any]) -> None:
    old, new = load_model(str(setting.run)), load_model(made["path"])
    # Rows that no router has seen.
    rows = [*rows_of("python", range(52, 60)), *rows_of("java", range(52, 60))]
    fresh = rows_of("rust", range(130, 150))
    for named in (True, False):
        before = _choices(old, rows, named)
        assert before == [row.language for row in rows]
        assert _choices(new, rows, named) == before
        assert _choices(new, fresh, named) == ["rust"] * 20
    assert old.mixture is not None
    assert new.mixture is not None
    was, now = old.mixture.sequence_router, new.mixture.sequence_router
    assert was is not None
    assert now is not None
    assert now.layer == was.layer
    assert now.router.bias is not None
    assert was.router.bias is not None
    assert torch.equal(now.router.weight[:2], was.router.weight)
    assert torch.equal(now.router.bias[:2], was.router.bias)
    assert new.mixture.token_routers == ()


def test_a_huge_offset_does_change_old_routing(
    setting: Setting, made: dict[str, Any], tmp_path: Path
) -> None:
    """The wrong twin, and proof that the folder can be moved."""
    moved = shutil.copytree(made["path"], tmp_path / "moved")
    rows = rows_of("python", range(52, 60))
    assert _choices(load_model(str(moved)), rows) == ["python"] * 8
    sequence, _ = load_routers(moved / ROUTER_FILE, ["python", "java", "rust"], 2, 32)
    assert sequence is not None
    assert sequence.router.bias is not None
    with torch.no_grad():
        sequence.router.bias[-1] += 1e4
    save_routers(moved / ROUTER_FILE, ["python", "java", "rust"], sequence, ())
    assert _choices(load_model(str(moved)), rows) == ["rust"] * 8


def test_generate_opens_it(made: dict[str, Any]) -> None:
    model = load_model(made["path"])
    named = answer(model, Question("anything", "rust", max_new_tokens=2))
    assert named["routing"]["expert"] == "rust"
    routed = answer(model, Question(WORDS["rust"][0].format(n=7), max_new_tokens=2))
    assert routed["routing"]["by"] == "the sequence router"
    assert set(routed["routing"]["probabilities"]) == {"python", "java", "rust"}


def test_a_mixture_outside_of_a_run_needs_old_rows(
    setting: Setting, made: dict[str, Any], tmp_path: Path
) -> None:
    own = rows_file(tmp_path / "go.parquet", "go")
    place = tmp_path / "four"
    with pytest.raises(UserError, match="must also see what is not go: found 0") as refused:
        add_expert(made["path"], setting.adapter, "go", [own], out=place)
    assert "python, java, rust" in refused.value.fix
    old = rows_file(tmp_path / "old.parquet", "python", "java", "rust")
    added = add_expert(made["path"], setting.adapter, "go", [own, old], out=place)
    assert added["experts"] == ["python", "java", "rust", "go"]
    four = load_model(str(place))
    rows = [row for name in WORDS for row in rows_of(name, range(60, 68))]
    assert _choices(four, rows) == [row.language for row in rows]


def test_an_existing_folder_is_kept_unless_forced(
    setting: Setting, made: dict[str, Any], tmp_path: Path
) -> None:
    def again(**options: Any) -> dict[str, Any]:
        return add_expert(str(setting.run), setting.adapter, "rust", [setting.rust], **options)

    before = (Path(made["path"]) / ROUTER_FILE).read_bytes()
    with pytest.raises(UserError, match="exists already"):
        again()
    assert again(force=True)["new_routed"] == made["new_routed"]
    assert (Path(made["path"]) / ROUTER_FILE).read_bytes() == before
    for place in (tmp_path, setting.run, setting.run / "data", setting.run / "moe"):
        with pytest.raises(UserError, match="in the way"):
            again(out=place, force=True)
    with pytest.raises(UserError, match="no folder to write to"):
        again(out=Path(setting.rust) / "x")
    assert not list(setting.run.parent.glob(".*"))


def test_the_command(
    setting: Setting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call(*options: str) -> tuple[int, str, str]:
        line = ["add-expert", str(setting.run), str(setting.adapter), "--name", "rust"]
        line += ["--data", setting.rust, "--out", str(tmp_path / "out"), *options]
        monkeypatch.setattr(sys, "argv", ["codemoe", *line])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        seen = capsys.readouterr()
        return int(ended.value.code or 0), seen.out, seen.err

    code, out, err = call("--json")
    assert code == 0, err
    assert set(json.loads(out)) == {"path", "experts", "new_routed", "old_changed", "seconds"}
    assert "the token gates are left out" in err
    code, out, err = call()
    assert (code, out) == (2, "")
    assert "exists already" in err
    code, out, _ = call("--force", "--language", "rs")
    assert code == 0
    assert "python, java, rust" in out
    code, _, err = call("--force", "--language", "klingon")
    assert code == 2
    assert "unknown language 'klingon'" in err
    assert "Traceback" not in err
