"""Hot-add: one more expert for a finished mixture, from a PEFT adapter and labelled text.

Nothing of the old mixture is trained again. Its adapters are copied, the rows of its sequence
router stay as they are, and the new expert's row is fitted beside them (`routing.extend`).
"""

import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.artifacts import is_finished, read_manifest, run_stage, sha256_of
from codemoe.data.records import find_data_files
from codemoe.data.rows import Row
from codemoe.disk import existing_parent
from codemoe.errors import UserError
from codemoe.languages import get_language
from codemoe.models.reference import BaseReference, content_sha256, resolve
from codemoe.models.storage.full_expert import expert_files
from codemoe.progress import say
from codemoe.recipe import BUILTIN, NAME
from codemoe.router_config import RouterConfig
from codemoe.train.new_language import (
    check_rows,
    choose_rows,
    new_languages,
    read_labelled,
    rows_of_run,
)
from codemoe.train.router_stage import METRICS

if TYPE_CHECKING:
    import torch

    from codemoe.models.load import CodeModel
    from codemoe.models.routers_file import SequenceRouter

KIND = "mixture"  # of the manifest


@dataclass(frozen=True)
class _Plan:
    """All that is known, and checked, before the base's weights are read."""

    reference: BaseReference
    description: dict[str, Any]  # moe.json of the old mixture
    adapters: dict[str, Path]  # the new expert's last
    sequence: "SequenceRouter"
    languages: list[str]  # of the new expert
    rows: list[Row]
    settings: dict[str, Any]  # what the result depends on
    has_token_gates: bool


def add_expert(
    model: str,
    adapter: Path,
    name: str,
    data: Sequence[str],
    *,
    languages: Sequence[str] = (),
    out: Path | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write MODEL with one more expert to `out`; where it is, and how its router does.

    The expert gets the rows of `data` in `languages`, or in those that no old expert has. The
    other rows, and those of MODEL's own run, stand for the old experts' text.
    """
    started = time.monotonic()
    if not re.fullmatch(NAME, name):
        raise UserError(f"{name!r} is no expert name", "use letters, digits, . _ -")
    asked = [get_language(language).name for language in languages]
    place = out or Path(f"{Path(model).resolve()}-{name}")
    _check_place(place, force)
    plan = _plan(Path(model), adapter, name, data, asked)
    run_stage(
        place,
        KIND,
        plan.settings,
        {},
        lambda folder: _write(plan, folder),
        redo="always" if force else "never",
    )
    if plan.has_token_gates:
        say(
            "add-expert: the token gates are left out (they have no bias that could hold a new row "
            "to a bound); the sequence router routes"
        )
    metrics = json.loads((place / METRICS).read_text())
    return {
        "path": str(place),
        "experts": metrics["experts"],
        "new_routed": metrics["new_routed"],
        "old_changed": metrics["old_changed"],
        "seconds": round(time.monotonic() - started, 3),
    }


def _plan(
    model: Path, adapter: Path, name: str, data: Sequence[str], asked: Sequence[str]
) -> _Plan:
    labelled = [row for path in data for row in read_labelled(path)]

    from codemoe.models.adapters import check_adapter
    from codemoe.models.load import (
        MOE_FILE,
        expert_folders,
        find_mixture,
        read_config,
        read_mixture,
    )
    from codemoe.models.routers_file import load_routers

    found = find_mixture(model)
    if found is None:
        raise UserError(
            f"{model} is no mixture: expected a run with a finished moe/, or a folder with "
            f"{MOE_FILE}",
            "codemoe run RECIPE makes one",
        )
    moe_dir, router_file = found
    reference, description = read_mixture(moe_dir)
    adapters = expert_folders(moe_dir, description, router_file)
    if name in adapters:
        raise UserError(
            f"{model} has an expert named {name!r} already; it has {', '.join(adapters)}",
            "choose another --name",
        )
    new = new_languages(asked, labelled, description["expert_of_language"])
    rows = choose_rows([labelled, *rows_of_run(moe_dir)], RouterConfig().samples_per_expert)
    check_rows(rows, new, description["expert_of_language"])
    config = read_config(reference)
    check_adapter(adapter, reference, config, f"the adapter {adapter}")
    sequence, token_routers = load_routers(
        router_file, list(adapters), config.num_hidden_layers, config.hidden_size
    )
    if sequence is None:
        raise UserError(
            f"{router_file} holds no fitted sequence router to add to", "codemoe router RECIPE"
        )
    files = [file for path in data for file in find_data_files(path)]
    return _Plan(
        reference=reference,
        description=description,
        adapters=adapters | {name: adapter},
        sequence=sequence,
        languages=new,
        rows=rows,
        settings={
            "name": name,
            "languages": new,
            "adapter": {file: sha256_of(adapter / file) for file in expert_files(adapter)},
            "mixture": {file.name: sha256_of(file) for file in (moe_dir / MOE_FILE, router_file)},
            "data": {str(file): sha256_of(file) for file in files},
        },
        has_token_gates=bool(token_routers),
    )


def _check_place(place: Path, force: bool) -> None:
    elsewhere = "choose another place: --out FOLDER"
    if place.exists():
        if not is_finished(place) or read_manifest(place)["kind"] != KIND:
            raise UserError(f"{place} is in the way: add-expert did not make it", elsewhere)
        if not force:
            raise UserError(f"{place} exists already", f"--force makes it again, or {elsewhere}")
    parent = existing_parent(place.absolute().parent)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UserError(f"cannot write {place}: {parent} is no folder to write to", elsewhere)


def _from_anywhere(reference: BaseReference) -> BaseReference:
    """A reference that does not depend on where the mixture lies, held to the base's content."""
    if reference.model == BUILTIN:
        return reference
    where = resolve(reference.model)
    return replace(reference, model=where, sha256=reference.sha256 or content_sha256(where))


def _write(plan: _Plan, folder: Path) -> None:
    """moe.json, the adapters, the router with one more row, and how it routes."""
    from codemoe.models.load import MOE_FILE, load_experts
    from codemoe.models.model_card import read_training, write_card

    for expert, source in plan.adapters.items():
        (folder / "experts" / expert).mkdir(parents=True, exist_ok=True)
        for file in expert_files(source):
            shutil.copyfile(source / file, folder / "experts" / expert / file)
    name = list(plan.adapters)[-1]
    of_language = plan.description["expert_of_language"] | dict.fromkeys(plan.languages, name)
    description = plan.description | {
        "base": asdict(_from_anywhere(plan.reference)),
        "experts": [{"name": expert, "path": f"experts/{expert}"} for expert in plan.adapters],
        "expert_of_language": of_language,
    }
    (folder / MOE_FILE).write_text(json.dumps(description, indent=2) + "\n")
    write_card(
        folder,
        plan.reference,
        title=f"A mixture of {len(plan.adapters)} experts, with {name} added",
        languages=tuple(of_language),
        library="codemoe",
        kind="mixture-of-experts",
        what=f"Experts ({', '.join(plan.adapters)}) under a router; {name} was added to a "
        "finished mixture.",
        licenses=read_training(list(plan.adapters.values())).licenses,
    )
    # Attaching proves that all experts fit the base before this artifact is called finished.
    model = load_experts(plan.reference, plan.adapters, description["activation"])
    metrics = {"experts": list(plan.adapters), "added": name, "languages": plan.languages}
    metrics |= _extend_router(model, plan, folder)
    (folder / METRICS).write_text(json.dumps(metrics, indent=2) + "\n")


def _extend_router(model: "CodeModel", plan: _Plan, folder: Path) -> dict[str, Any]:
    """Write the router with one more row; how it routes samples of held-out problems."""
    import torch

    from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, save_routers
    from codemoe.routing.extend import MAX_OLD_CHANGED, extend_router
    from codemoe.routing.routers import LinearRouter
    from codemoe.train.router_features import KINDS, sequence_samples

    layer, old = plan.sequence.layer, plan.sequence.router
    assert old.bias is not None
    labels = [int(row.language in plan.languages) for row in plan.rows]
    samples = sequence_samples(model, plan.rows, labels)
    is_new_N = samples.labels_N == 1
    config = RouterConfig()
    extended = extend_router(
        samples.features_LND[layer],
        is_new_N,
        old.weight.detach(),
        old.bias.detach(),
        ridge=config.ridge,
        folds=config.folds,
        groups_N=samples.groups_N,
    )
    router = LinearRouter(extended.weight_ED, extended.bias_E)
    save_routers(folder / ROUTER_FILE, list(plan.adapters), SequenceRouter(layer, router), ())

    def share(mask_N: "torch.Tensor") -> float:
        return float(extended.taken_N[mask_N].double().mean())

    languages = [row.language for row in plan.rows for _ in KINDS]
    by_language = {
        language: share(torch.tensor([one == language for one in languages]))
        for language in sorted(set(languages).difference(plan.languages))
    }
    by_kind = {kind: share(is_new_N & (samples.kinds_N == i)) for i, kind in enumerate(KINDS)}
    metrics = {
        "layer": layer,
        "max_old_changed": MAX_OLD_CHANGED,
        "old_changed": share(~is_new_N),
        "old_changed_by_language": by_language,
        "new_routed": share(is_new_N),
        "new_routed_by_kind": by_kind,
        "samples": {"new": int(is_new_N.sum()), "old": int((~is_new_N).sum())},
    }
    shown = ", ".join(f"{kind} {value:.3f}" for kind, value in by_kind.items())
    say(f"add-expert: routed to the new expert, cross-validated, of its own text: {shown}")
    return metrics
