"""/docs: the API as one page without scripts, written from its OpenAPI description."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 2rem auto; padding: 0 1rem; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
h2 { margin-top: 2.5rem; border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent);
     padding-top: 1rem; font-size: 1.15rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
         border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
"""


def docs_page(openapi: Mapping[str, Any]) -> str:
    info = openapi["info"]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info['description'])} The same for programs: "
        "<a href='/openapi.json'>/openapi.json</a>.</p>",
    ]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts += _operation(openapi, path, method, operation)
    return "".join([*parts, "</main></body></html>"])


def _operation(
    openapi: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    yield f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('summary', ''))}</p>"
    body = operation.get("requestBody")
    if body is None:
        return
    schema = _resolve(openapi, body["content"]["application/json"]["schema"])
    required = schema.get("required", ())
    yield "<div><table><thead><tr><th>field<th>type<th>meaning</tr></thead><tbody>"
    for name, field in schema["properties"].items():
        must = " (required)" if name in required else ""
        meaning = field.get("description", "")
        yield (
            f"<tr><td><code>{escape(name)}</code>{must}<td>{escape(_type(openapi, field))}"
            f"<td>{escape(meaning)}</tr>"
        )
    yield "</tbody></table></div>"


def _resolve(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Mapping[str, Any] = openapi["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _type(openapi: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """In words: "integer, 1 to 16", "array of string, at most 4"."""
    if "anyOf" in schema:
        kinds = [_type(openapi, one) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(kinds)
    resolved = _resolve(openapi, schema)
    if "properties" in resolved and resolved is not schema:
        return f"object of {', '.join(resolved['properties'])}"
    if "enum" in schema or "const" in schema:
        return " or ".join(map(str, schema.get("enum", [schema.get("const")])))
    words = str(schema.get("type", "any"))
    if words == "array":
        words = f"array of {_type(openapi, schema.get('items', {}))}"
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        words += f", {low} to {high}"
    elif low is not None:
        words += f", {low} or more"
    most = schema.get("maxItems", schema.get("maxLength"))
    return words if most is None else f"{words}, at most {most}"
