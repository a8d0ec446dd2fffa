"""Instruction rows (`instruction, input, output`), as instruction tuning has them, to our rows."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from codemoe.data.records import Record
from codemoe.data.rows import Drop, Row
from codemoe.data.sources import (
    FIELDS,
    HubPart,
    records_of,
    refuse_unknown_fields,
    rows_from,
    string_of,
)
from codemoe.errors import UserError
from codemoe.languages import find_language

INSTRUCTION_FIELDS = ("instruction", "input", "output")
_OURS = tuple(name for name in FIELDS if name not in ("text", "code"))
# An answer that is one fenced block and nothing else.
_FENCED = re.compile(r"\s*```([\w+#.-]*)[^\n]*\n(.*?)\n?```\s*", re.DOTALL)


def read_instructions(
    path: str | Path,
    *,
    fields: Mapping[str, str],
    language: str | None = None,
    hub: HubPart = HubPart(),  # noqa: B008  # frozen
) -> Iterator[Row | Drop]:
    """Rows of files or of a hub data set: `instruction` and `output`; `input` may be missing.

    The text is the instruction, with the input under it where there is one. An output that is one
    fenced block is its code, in the language that the fence names; then the row's own `language`,
    then the argument's. `fields` maps our names to theirs, as in `read_rows`.

    Raises UserError as `read_rows` does.
    """
    columns = {name: name for name in (*INSTRUCTION_FIELDS, *_OURS)} | dict(fields)
    refuse_unknown_fields(columns, (*INSTRUCTION_FIELDS, *_OURS), path)
    records = (
        (name, number, _as_row(record, columns, number == 0))
        for name, number, record in records_of(path, hub)
    )
    return rows_from(records, {name: name for name in FIELDS}, language, path)


def _as_row(record: Record, columns: Mapping[str, str], first: bool) -> Record:
    missing = [n for n in ("instruction", "output") if columns[n] not in record.value]
    if missing and first:
        raise UserError(
            f"{record.place}: no key {', '.join(repr(columns[name]) for name in missing)}; found "
            f"the keys {', '.join(sorted(record.value)) or 'none'}; expected instruction, output "
            "(and input, language, id, group, source, license where known)",
            "rename the keys, or map them in the recipe, as in fields: {output: response}",
        )
    value = {name: string_of(record, columns[name]) for name in (*INSTRUCTION_FIELDS, *_OURS)}
    parts = (value["instruction"].strip(), value["input"].strip())
    answer = value["output"]
    fenced = _FENCED.fullmatch(answer)
    if fenced and "```" not in fenced.group(2):
        answer = fenced.group(2)
        if find_language(fenced.group(1)):
            value["language"] = fenced.group(1)
    own = {name: value[name] for name in _OURS}
    return record._replace(value=own | {"text": "\n\n".join(filter(None, parts)), "code": answer})
