"""The site of the documentation: every page has its place in the contents, links lead where they should.

`make docs` builds it, with warnings as errors; here is what can be asked without Sphinx.
"""

import importlib.util
import re
import tomllib

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {path.stem for path in DOCS.glob("*.md")}
INDEX = (DOCS / "README.md").read_text()


@pytest.fixture(scope="module")
def conf():
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_stands_in_the_contents_once(conf):
    placed = [page for pages in conf.contents(INDEX).values() for page in pages]
    assert sorted(placed) == sorted(PAGES - {"README"})
    assert len(conf.contents(INDEX)) >= 4


def test_the_contents_are_a_tree_for_each_heading(conf):
    text = (
        "# Title\n\n## One\n\n| page | what |\n| --- | --- |\n| [A](a.md) | is [no page](b.md) |\n\n## None\n\ntext\n"
    )
    assert conf.contents(text) == {"One": ["a"]}
    assert conf.toctrees(text) == "```{toctree}\n:hidden:\n:caption: One\n\na\n```"


@pytest.mark.parametrize(
    ("link", "seen"),
    [
        ("[a](metrics.md#metrics)", "[a](metrics.md#metrics)"),
        ("![a](rate.png)", "![a](rate.png)"),
        ("[a](#here)", "[a](#here)"),
        ("[a](https://example.org/b)", "[a](https://example.org/b)"),
        ("[a](../README.md)", "[a]({}/blob/main/README.md)"),
        ("[a](../src/aecli/api.py)", "[a]({}/blob/main/src/aecli/api.py)"),
        ("[a](studies)", "[a]({}/tree/main/docs/studies)"),
        ("[a](studies/mnist-hidden-1/results.csv)", "[a]({}/blob/main/docs/studies/mnist-hidden-1/results.csv)"),
    ],
)
def test_a_link_leads_to_a_page_or_to_the_repository(conf, link, seen):
    assert conf.with_links_of_the_site(f"see {link}.") == f"see {seen.format(conf.REPOSITORY)}."


def test_docstrings_stand_where_a_comment_names_their_module(conf):
    text = "# Title\n\n<!-- autodoc: aecli.api -->\n"
    assert ".. automodule:: aecli.api\n   :members:\n" in conf.with_docstrings(text)
    named = re.findall(r"^<!-- autodoc: ([\w.]+) -->$", (DOCS / "reference.md").read_text(), re.MULTILINE)
    of_a_run = [f"aecli.python.{name}" for name in ("run", "results", "study", "tables")]
    assert named == ["aecli.api", *of_a_run]


def test_the_site_has_the_name_and_the_version_of_the_project(conf):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert conf.version == project["version"]
    assert project["urls"]["Repository"] == conf.REPOSITORY
    assert conf.root_doc in PAGES


def test_what_is_built_is_ignored_by_git_and_built_on_every_change():
    recipe = (ROOT / "Makefile").read_text().partition("\ndocs: ")[2].partition("\n\n")[0]
    assert "--fail-on-warning" in recipe
    assert re.search(r"docs build/site$", recipe, re.MULTILINE)
    assert "/build/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "make docs" in (ROOT / ".ci/run").read_text().splitlines()


@pytest.mark.parametrize(
    "word",
    ["fvu", "code length", "matched", "settled", "gap", "knee", "Holm", "dead", "silent", "saturated", "worse by",
     "P(best wins)", "rank", "of linear code", "baseline", "collapsed", "failed", "sharp"],
)  # fmt: skip
def test_a_word_of_the_tables_is_explained(word):
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert any(word in name and len(about) > 20 for name, about in rows)
