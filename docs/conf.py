"""Sphinx's settings for the site of these pages, which stay as GitHub shows them: `make docs` writes build/site.

Furo: of the themes that need no framework of scripts it is the one that follows the reader's dark mode, prints, and
works at the width of a telephone. What a page cannot say in Markdown that GitHub shows too is added as it is read:
the contents from the tables of README.md, docstrings where a page has `<!-- autodoc: MODULE -->`.
"""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
_PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = _PROJECT["urls"]["Repository"]

project, version = "ae", _PROJECT["version"]
copyright = author = _PROJECT["authors"][0]["name"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
exclude_patterns = ["studies"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "ae"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}  # they leave a telephone no room for the title
myst_heading_anchors = 4
myst_links_external_new_tab = False
highlight_language = "text"  # of blocks that name none: commands and what they print
default_role = "code"  # `name` in a docstring
smartquotes = False
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ImagesOrFile": "ImagesOrFile", "ImagesOrFile | None": "ImagesOrFile | None"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)(#[^)]*)?\)")


def contents(index: str) -> dict[str, list[str]]:
    """Return the pages of every heading of README.md, by the heading: those that its table links to."""
    groups = {}
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        rows = re.findall(r"^\| \[[^\]]*\]\(([\w-]+)\.md\)", text, re.MULTILINE)
        if rows:
            groups[title.strip()] = rows
    return groups


def toctrees(index: str) -> str:
    """Return the contents of the site, in groups, which only its side shows."""
    trees = (
        "\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```"])
        for title, pages in contents(index).items()
    )
    return "\n\n".join(trees)


def with_links_of_the_site(text: str) -> str:
    """Return a page whose links to what is no page lead to GitHub, but for pictures, which are shown."""
    return _LINK.sub(lambda link: _link(*link.groups(default="")), text)


def _link(title: str, target: str, anchor: str) -> str:
    path = (DOCS / target).resolve()
    if (path.parent == DOCS and path.suffix == ".md") or path.suffix == ".png" or not path.exists():
        return f"[{title}]({target}{anchor})"
    kind = "tree" if path.is_dir() else "blob"
    return f"[{title}]({REPOSITORY}/{kind}/main/{path.relative_to(DOCS.parent)}{anchor})"


def with_docstrings(text: str) -> str:
    """Return a page with the docstrings of a module where a comment names it."""
    directive = "```{{eval-rst}}\n.. automodule:: {}\n   :members:\n```"
    return re.sub(r"^<!-- autodoc: ([\w.]+) -->$", lambda name: directive.format(name[1]), text, flags=re.MULTILINE)


def _read(app: Any, page: str, source: list[str]) -> None:
    text = with_docstrings(with_links_of_the_site(source[0]))
    source[0] = f"{text}\n\n{toctrees(source[0])}\n" if page == root_doc else text


def _first_paragraph(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Leave of a module's docstring what comes before its example, which is no reStructuredText."""
    if kind == "module" and "" in lines:
        del lines[lines.index("") :]


def _finish(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    shutil.copy(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Any) -> None:
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _first_paragraph)
    app.connect("build-finished", _finish)
