"""Where the lossless chain breaks: what stands between an expert and the mixture routed to it.

An expert alone, the mixture routed to it and an export of it are one function as long as nothing
that it learned is left out, mixed with another's or run otherwise than it was trained.
"""

import json
from pathlib import Path
from typing import Any


def chain_breaks(run_dir: Path) -> list[str]:
    """A sentence for each break of a run, the stage first; none where the chain holds."""
    from codemoe.models.load import MOE_FILE
    from codemoe.models.routers_file import ROUTER_FILE

    found = []
    about = _json(run_dir / "moe" / MOE_FILE)
    left_out = about.get("left_out", {})
    if left_out:
        names = dict.fromkeys(n for one in left_out.values() for n in one["projections"])
        shares = [one["share"] for one in left_out.values()]
        found.append(
            f"moe: experts were trained in {', '.join(names)} as well, which the mixture has not: "
            f"{min(shares):.0%} to {max(shares):.0%} of what they changed (squared norm) is gone"
        )
    for name in sorted(about and [entry["name"] for entry in about["experts"]]):
        rest = _json(run_dir / "experts" / name / "left_out.json").get("left_out", [])
        if rest:
            found.append(
                f"experts: the fine-tune {name} also changed {len(rest)} tensors outside of MLPs, "
                "which no mixture of MLPs has"
            )
    trained = {
        _json(run_dir / "experts" / entry["name"] / "training.json").get("activation")
        for entry in about.get("experts", [])
    } - {None, "both"}
    runs_as = about.get("activation")
    if trained and runs_as not in trained:
        found.append(
            f"moe: experts were trained to act as `{trained.pop()}` and run as `{runs_as}`"
        )
    top_k = _top_k(run_dir / "router" / ROUTER_FILE)
    if top_k != 1:
        many = "all experts" if top_k is None else f"{top_k} experts a token"
        found.append(
            f"router: token gates mix {many}, so that even right ones are no expert's own function "
            "(moe-token)"
        )
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _top_k(path: Path) -> int | None:
    """How many experts a token gate chooses; 1 without gates, None for all."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("routers", "{}"))
    except (OSError, SafetensorError, ValueError):
        return 1
    router = about.get("token", {}).get("router")
    if router is None:
        return 1
    if router.get("kind") == "softmax":
        return None
    return int(router.get("top_k", 1))
