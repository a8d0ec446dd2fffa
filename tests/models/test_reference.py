"""The base by reference: its content is hashed once and checked wherever it is opened."""

import json
import os
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.models.reference import (
    BaseReference,
    builtin_base,
    check_content,
    content_sha256,
    read_reference,
    resolve,
    write_reference,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_text(name)
    return folder


def test_the_hash_is_of_what_the_model_is_and_of_nothing_else(checkpoint: Path) -> None:
    before = content_sha256(str(checkpoint))
    (checkpoint / "README.md").write_text("a card")
    os.utime(checkpoint / "config.json", (1, 1))
    assert content_sha256(str(checkpoint)) == before
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (checkpoint / name).write_text(f"another {name}")
        changed = content_sha256(str(checkpoint))
        assert changed != before, name
        before = changed
    assert content_sha256("mistralai/Mistral-7B-v0.1") is None


def test_a_changed_base_is_refused_naming_both(checkpoint: Path) -> None:
    digest = content_sha256(str(checkpoint))
    assert digest is not None
    reference = BaseReference(str(checkpoint), sha256=digest)
    check_content(reference)
    (checkpoint / "model.safetensors").write_text("other weights")
    with pytest.raises(UserError) as caught:
        check_content(reference)
    assert digest[:12] in caught.value.what
    assert str(content_sha256(str(checkpoint)))[:12] in caught.value.what
    check_content(BaseReference(str(checkpoint)))  # nothing known, nothing to hold it to


def test_a_reference_survives_its_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    reference = BaseReference("m", "abc", "4bit", "d1")
    write_reference(reference, tmp_path)
    assert read_reference(tmp_path) == reference
    for text in ("{", json.dumps({"where": "m"}), "[]"):
        (tmp_path / "reference.json").write_text(text)
        with pytest.raises(UserError, match=r"reference\.json"):
            read_reference(tmp_path)


def test_names_resolve_to_absolute_folders(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert resolve("base") == str(checkpoint)
    assert resolve("builtin") == str(builtin_base())
    assert resolve("org/model") == "org/model"
