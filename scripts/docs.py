"""Write what docs/ says of the program from the program: the keys of a config, its schema, the help of every command.

    python scripts/docs.py [--check]

In docs/config.md and docs/commands.md what stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->` is
replaced, and the rest is written by hand. configs/ae.schema.json is written whole. --check writes
nothing, and ends with 1 where a page would change.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel

from aecli.cli.main import cli
from aecli.core.schema import ConfigJsonSchema, sections_of
from aecli.models.activations import ACTIVATIONS, Activation
from aecli.runs.config import OPTIMIZERS
from aecli.runs.config_file import SCHEMA_FILE, schema_text
from aecli.studies.config import StudyFile

ROOT = Path(__file__).parents[1]
DOCS, CONFIGS = ROOT / "docs", ROOT / "configs"
COLUMNS = 80
"""Width of the help that is shown."""

Schema = Mapping[str, Any]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a `|` in a cell is escaped."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def keys() -> str:
    """Return a table of keys for every section of the config, and for every kind of one that has several."""
    parts = []
    for name, field in StudyFile.model_fields.items():
        kinds = sections_of(field)
        for kind in kinds:
            title = code(name) if len(kinds) == 1 else f"{code(name)} of family {code(default(kind, 'family'))}"
            parts += [f"### {title}", first_paragraph(kind), key_table(kind, f"{name}.")]
    return "\n\n".join(parts)


def first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().partition("\n\n")[0].split())


def key_table(model: type[BaseModel], prefix: str) -> str:
    return table(("key", "default", "values", "what"), key_rows(model, prefix))


def key_rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, default, values and description of every key; those of an optional section stand below its own."""
    schema = model.model_json_schema(schema_generator=ConfigJsonSchema)
    for name, field in model.model_fields.items():
        inner = sections_of(field)
        allowed = "the keys below" if inner else values(schema["properties"][name], schema.get("$defs", {}))
        yield code(prefix + name), code(default(model, name)), allowed, field.description or ""
        for section in inner:
            yield from key_rows(section, f"{prefix}{name}.")


def default(model: type[BaseModel], key: str) -> str:
    """Return the default as it would stand in a config."""
    value = model().model_dump(mode="json")[key]
    dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return dumped.removesuffix("...\n").strip()


def values(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """Say in words what a key may be."""
    if "$ref" in schema:
        return values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        alternatives = [values(one, definitions) for one in schema["anyOf"]]
        return " or ".join(dict.fromkeys(alternative for alternative in alternatives if alternative))
    if set(ACTIVATIONS) <= set(schema.get("enum", ())):
        return "an [activation](#activations)"
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    return of_type(schema, definitions)


NAMES = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text", "null": "null"}
BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def of_type(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """Say in words what type a value has, and between which bounds it lies."""
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items") or next(iter(schema.get("prefixItems", [{}])))
        return f"list of {values(items, definitions)}" if items else "list"
    if kind == "object":
        properties = schema.get("properties", {})
        if "name" in properties:
            return "`{name: ..., setting: ...}`"
        if properties:
            return "`{name: weight, ...}`"
        return "`{name: config}`" if "anyOf" in schema.get("additionalProperties", {}) else "`{key: [values]}`"
    name = "path" if schema.get("format") == "path" else NAMES.get(kind or "", "")
    return (
        f"{name} {', '.join(f'{sign} {limit(schema[key])}' for key, sign in BOUNDS.items() if key in schema)}".strip()
    )


def limit(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def optimizers() -> str:
    """Return the table of optimizers with their settings."""
    rows = (
        (code(row.name), ", ".join(code(f"{key}: {json.dumps(value)}") for key, value in row.parameters.items()))
        for row in OPTIMIZERS.values()
    )
    return table(("optimizer", "settings and their defaults"), rows)


def activations() -> str:
    """Return the table of activations."""
    rows = (
        (code(row.name), code(row.formula), f"{bound(low)} to {bound(high)}", notes(row), row.reference)
        for row in ACTIVATIONS.values()
        for low, high in [row.output_range(row.parameters)]
    )
    return table(("activation", "formula", "range", "settings and other names", "source"), rows)


def bound(value: float) -> str:
    return f"{value:.6g}".replace("inf", "∞")


def notes(row: Activation) -> str:
    settings = [code(f"{key}: {value:g}") for key, value in row.parameters.items()]
    return ", ".join([*settings, *(f"also {code(alias)}" for alias in row.aliases)])


def configs() -> str:
    """Return the table of the configs that come with ae, from the comments that they begin with."""
    return table(("config", "what", "time, and what to expect"), map(config_row, sorted(CONFIGS.glob("*.yaml"))))


def config_row(path: Path) -> tuple[str, str, str]:
    comments = [line.removeprefix("#") for line in path.read_text().splitlines() if line.startswith("#")]
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", "\n".join(comments))]
    # What is indented further is the command; what comes after the expectation explains the file to who edits it.
    title, _, expected = paragraphs[:3]
    return code(path.stem), title, expected


def commands() -> str:
    """Return the help of ae and of each of its commands, as the program prints it."""
    return "\n\n".join(help_blocks(cli, context_of(cli, "ae")))


def help_blocks(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield a heading and a block for the command and for each one below it."""
    path = context.command_path
    yield f"### {path}\n\n```\n$ {path} --help\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from help_blocks(inner, context_of(inner, name, context))


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """Return the context in which a command prints its help."""
    settings = {**command.context_settings, "terminal_width": COLUMNS}
    return click.Context(command, info_name=name, parent=parent, **settings)


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "config.md": {"keys": keys, "optimizers": optimizers, "activations": activations, "configs": configs},
    "commands.md": {"commands": commands},
}
"""Page -> what is generated in it, by the name in its comments."""


def generated(page: str, text: str) -> str:
    """Return the text of a page of docs/ with its generated parts as they should be."""
    for name, make in PAGES[page].items():
        begin, end = f"<!-- generated: {name} -->\n", f"\n<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise SystemExit(f"docs/{page}: lacks {begin.strip()} or {end.strip()}")
        text = f"{before}{begin}\n{make()}\n{end}{after}"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where a page would change")
    check = parser.parse_args().check
    schema = CONFIGS / SCHEMA_FILE
    written = {DOCS / page: (DOCS / page).read_text(encoding="utf-8") for page in PAGES}
    written[schema] = schema.read_text(encoding="utf-8") if schema.exists() else ""
    should = {DOCS / page: generated(page, written[DOCS / page]) for page in PAGES} | {schema: schema_text(StudyFile)}
    changed = {path: text for path, text in should.items() if text != written[path]}
    for path, text in changed.items():
        name = path.relative_to(ROOT)
        print(f"{name}: {'would change: python scripts/docs.py writes it' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    sys.exit(1 if check and changed else 0)


if __name__ == "__main__":
    main()
