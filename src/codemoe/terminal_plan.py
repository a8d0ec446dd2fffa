"""How `codemoe plan` looks."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def show_plan(plan: dict[str, Any], disk: str) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False, highlight=False)
    parameters, base = plan["parameters"], plan["base"]
    console.print(
        f"{plan['name']}: a {base['model_type']} base of {parameters['base']:,} parameters "
        f"({base['layers']} layers, width {base['hidden_size']}; config: {base['config']})"
    )
    console.print(
        f"{parameters['experts']} experts of {parameters['an_expert']:,}; the mixture has "
        f"{parameters['mixture']:,}, {parameters['active_a_token']:,} of them active a token"
    )
    sizes = list(plan["stages"][0]["gpu_hours"])
    table = Table(title="at most, by stage")
    table.add_column("stage")
    for name in ("GPU memory", "CPU memory", "disk", "and while running", "FLOPs"):
        table.add_column(name, justify="right")
    for size in sizes:
        table.add_column(f"hours, {size} GB", justify="right")
    for stage in plan["stages"]:
        table.add_row(
            stage["stage"],
            *(_bytes(stage[key]) for key in ("gpu_bytes", "cpu_bytes", "disk_bytes")),
            _bytes(stage["disk_while_running_bytes"]),
            f"{stage['flops']:.1e}" if stage["flops"] else "",
            *(_hours(stage["gpu_hours"][size]) for size in sizes),
        )
    console.print(table)
    for stage in plan["stages"]:
        if stage["note"]:
            console.print(f"  {stage['stage']}: {stage['note']}", soft_wrap=True)
    console.print(disk, soft_wrap=True)
    for one in plan["fits"]:
        console.print(_fit(one), soft_wrap=True)
    assumed = plan["assumed"]
    console.print(
        f"Hours are estimates: {assumed['utilisation']:.0%} of a datasheet's FLOP/s, "
        f"{assumed['bandwidth_share']:.0%} of its bandwidth when decoding. "
        "Memory of a CPU: Python and its libraries take about 1 GB more.",
        soft_wrap=True,
    )


def _bytes(size: float) -> str:
    if not size:
        return ""
    return f"{size / 1e9:,.2f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _hours(hours: float) -> str:
    return "" if not hours else f"{hours:.2f}" if hours >= 0.01 else "<0.01"


def _fit(one: dict[str, Any]) -> str:
    head = f"{one['memory_gib']} GB (such as {one['for_example']}): "
    if one["fits"]:
        return f"{head}fits, about {one['gpu_hours']:.2f} hours"
    large = ", ".join(one["too_large"])
    if one["fits_then"]:
        words = " ".join(f"'{c}'" if "[" in c else c for c in one["change"])
        return f"{head}{large} too large; fits with {words}"
    still = ", ".join(one["still_too_large"])
    return f"{head}{large} too large; {still} also with all that can be changed: a smaller base"
