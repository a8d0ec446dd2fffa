"""Cards of saved models: metadata that the hub reads, and no path of this machine."""

import json
from pathlib import Path

import yaml

from codemoe.models.export.scores import Scores
from codemoe.models.model_card import read_training, write_card
from codemoe.models.reference import BaseReference
from tests.models.tiny import save_checkpoint, tiny_model


def _front(folder: Path) -> tuple[dict, str]:
    _, front, body = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def _write(folder: Path, reference: BaseReference) -> tuple[dict, str]:
    write_card(
        folder,
        reference,
        title="a mixture",
        languages=("python", "cpp"),
        library="codemoe",
        kind="mixture-of-experts",
        what="Two experts.",
        licenses={"MIT": 3, "": 1},
    )
    return _front(folder)


def test_a_base_on_the_hub_is_named(tmp_path: Path) -> None:
    front, body = _write(tmp_path, BaseReference("somebody/base", "abc"))
    assert front["base_model"] == "somebody/base"
    assert front["tags"] == ["codemoe", "mixture-of-experts", "code", "python", "cpp"]
    assert "on somebody/base, for Python, C++." in body
    assert "MIT: 3 rows; unknown: 1 rows." in body
    assert "### Language: Python" in body


def test_a_folder_is_not_named_by_its_path(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: mit\n---\nhello")
    front, body = _write(tmp_path, BaseReference(str(base)))
    assert "base_model" not in front
    assert front["license"] == "mit"
    assert "a local checkpoint (base)" in body
    assert str(tmp_path) not in (tmp_path / "README.md").read_text()


def test_what_experts_were_trained_on_is_added_up(tmp_path: Path) -> None:
    for name, licenses in (("one", {"MIT": 2}), ("two", {"MIT": 1, "BSL-1.0": 4})):
        (tmp_path / name).mkdir()
        about = {"languages": [name], "licenses": licenses}
        (tmp_path / name / "training.json").write_text(json.dumps(about))
    found = read_training([tmp_path / "one", tmp_path / "two", tmp_path / "from elsewhere"])
    assert found.languages == ("one", "two")
    assert dict(found.licenses) == {"MIT": 3, "BSL-1.0": 4}


def test_scores_stand_in_the_metadata_and_the_text_with_their_intervals(tmp_path: Path) -> None:
    own = {"codebleu": 0.8, "codebleu_interval": [0.7, 0.9], "pass_at_1": None, "n": 5}
    mixture = own | {"codebleu": 0.6, "codebleu_interval": [0.5, 0.7], "pass_at_1": 0.4}
    write_card(
        tmp_path,
        BaseReference("somebody/base"),
        title="a mixture",
        languages=("python",),
        library="codemoe",
        kind="mixture-of-experts",
        what="One expert.",
        licenses={},
        scores=Scores({"python": mixture}, {"python": own}),
        file="model_card.md",
    )
    text = (tmp_path / "model_card.md").read_text()
    (found,) = yaml.safe_load(text.split("---\n")[1])["model-index"]
    metrics = found["results"][0]["metrics"]
    assert [(m["type"], m["value"]) for m in metrics] == [("codebleu", 0.6), ("pass_at_1", 0.4)]
    assert metrics[0]["args"] == {"interval_95": [0.5, 0.7]}
    assert "| python | 0.600 [0.500, 0.700] | 0.40 | 0.750 | 5 |" in text
