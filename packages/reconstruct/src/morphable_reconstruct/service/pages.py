"""Pages of the service: what it is, and its documentation; both work without a network and without scripts."""

from html import escape
from typing import Any

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}
code{background:#f2f2f2;padding:0 .2em}td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
h2{border-top:1px solid #ddd;padding-top:1rem}button{font:inherit;margin:.5rem .5rem 0 0}"""


def home_page(*, title: str, description: str, formats: tuple[str, ...]) -> str:
    """Return a page that describes the service, with a form to try it."""
    buttons = "".join(
        f'<button formaction="/reconstruct?format={escape(name)}">{escape(name)}</button>' for name in formats
    )
    body = f"""<p>{escape(description)}</p>
<form method="post" enctype="multipart/form-data">
<p><input type="file" name="image" accept="image/*" required></p><p>{buttons}</p></form>
<p>From a shell: <code>curl --data-binary @photo.jpg 'http://HOST:PORT/reconstruct?format=json'</code></p>
<p><a href="/docs">Documentation</a> · <a href="/openapi.json">OpenAPI</a> · <a href="/health">Health</a> ·
<a href="/metrics">Metrics</a></p>"""
    return _page(title, body)


def docs_page(schema: dict[str, Any]) -> str:
    """Return the documentation of an OpenAPI schema."""
    parts = [f"<p>{escape(schema['info'].get('description', ''))}</p>"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(path, method, operation))
    for name, model in schema.get("components", {}).get("schemas", {}).items():
        parts.append(_model(name, model))
    return _page(f"{schema['info']['title']} {schema['info']['version']}", "\n".join(parts))


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    """Describe one route."""
    rows = [
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{_type(item['schema'])}</td>"
        f"<td>{escape(item.get('description') or item['schema'].get('description', ''))}</td></tr>"
        for item in operation.get("parameters", [])
    ]
    bodies = [escape(kind) for kind in operation.get("requestBody", {}).get("content", {})]
    answers = []
    for status, answer in operation["responses"].items():
        kinds = ", ".join(
            f"{escape(kind)} {_type(content.get('schema', {}))}" for kind, content in answer.get("content", {}).items()
        )
        answers.append(f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td><td>{kinds}</td></tr>")
    return (
        f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        + (f"<table><tr><th>Query</th></tr>{''.join(rows)}</table>" if rows else "")
        + (f"<p>Body: {', '.join(bodies)}</p>" if bodies else "")
        + f"<table><tr><th>Status</th><th>When</th><th>Body</th></tr>{''.join(answers)}</table>"
    )


def _model(name: str, model: dict[str, Any]) -> str:
    """Describe one type of the answers."""
    rows = [
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(schema)}</td>"
        f"<td>{escape(schema.get('description', ''))}</td></tr>"
        for field, schema in model.get("properties", {}).items()
    ]
    text = escape(model.get("description", ""))
    return f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{text}</p><table>{"".join(rows)}</table>'


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in words, with links to the types of answers."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"{len(schema['prefixItems'])} x {_type(schema['prefixItems'][0])}"
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("type", "")))


def _page(title: str, body: str) -> str:
    """Return a whole page."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )
