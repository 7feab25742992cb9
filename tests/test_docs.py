"""The pages of docs/ are whole: generated parts are up to date, links lead somewhere, the README is short."""

import re
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
README = (ROOT / "README.md").read_text()
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
BASE = URLS["Repository"]
RAW = BASE.replace("https://github.com/", "https://raw.githubusercontent.com/")


def without_code(text):
    return re.sub(r"^```.*?^```$|^    .*?$|`[^`\n]+`", "", text, flags=re.DOTALL | re.MULTILINE)


def links(text):
    """Return the targets of links and pictures; what stands in code is none."""
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text))


def relative_links(path):
    return [link for link in links(path.read_text()) if not re.match(r"[a-z]+:", link)]


def anchors(path):
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def resolve(page, link):
    """Return the file that a relative link leads to, and its anchor."""
    name, _, anchor = link.partition("#")
    return (page.parent / name).resolve() if name else page, anchor


def test_the_generated_parts_are_what_the_program_says():
    command = [sys.executable, ROOT / "scripts" / "docs.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_part_that_has_changed_is_mended():
    from scripts import docs

    page = (DOCS / "config.md").read_text()
    assert docs.generated("config.md", page.replace("`training.epochs`", "`training.epoch`")) == page


def test_a_row_that_is_measured_anew_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    from scripts import uses

    for page, head in {
        "anomalies.md": uses.SCORE_HEAD, "probing.md": uses.PROBE_HEAD, "compression.md": uses.COMPRESS_HEAD,
    }.items():  # fmt: skip
        assert (DOCS / page).read_text().splitlines().count(head) == 1
    monkeypatch.setattr(uses, "DOCS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("above\n\n| a | b |\n| --- | --- |\n| x | 1 |\n\nbelow\n")
    for cells in (("y", "2"), ("x", "3"), ("y", "4")):
        uses.write("page.md", "| a | b |", *cells)
    assert page.read_text() == "above\n\n| a | b |\n| --- | --- |\n| x | 3 |\n| y | 4 |\n\nbelow\n"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_relative_links_lead_to_a_file_and_a_heading(path):
    for link in relative_links(path):
        target, anchor = resolve(path, link)
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked():
    from_index = {resolve(DOCS / "README.md", link)[0] for link in relative_links(DOCS / "README.md")}
    from_readme = {own_file(link) for link in own_links()}
    assert set(PAGES) - {DOCS / "README.md"} <= from_index | from_readme


def test_every_picture_is_shown_somewhere():
    shown = {resolve(path, link)[0] for path in PAGES for link in relative_links(path)}
    shown |= {own_file(link) for link in own_links()}
    assert {*DOCS.glob("*.png"), *(DOCS / "benchmarks").glob("*.png")} <= shown


def test_the_readme_is_at_most_8_kb():
    assert len(README.encode()) <= 8192


def own_links():
    return [link for link in links(README) if link.startswith((BASE, RAW))]


def own_file(link):
    """Return the file of the repository that an absolute link of the README leads to."""
    for start in (f"{BASE}/blob/main/", f"{BASE}/tree/main/", f"{RAW}/main/"):
        if link.startswith(start):
            return ROOT / link.removeprefix(start).partition("#")[0]
    raise AssertionError(f"{link}: neither a file nor a folder of the branch main")


def test_links_of_the_readme_are_absolute_and_of_the_base_in_pyproject():
    assert own_links()
    assert [link for link in links(README) if link not in own_links()] == []


@pytest.mark.parametrize("link", own_links())
def test_a_link_of_the_readme_leads_to_a_file_and_a_heading(link):
    target, anchor = own_file(link), link.partition("#")[2]
    assert target.exists()
    assert target.is_dir() == link.startswith(f"{BASE}/tree/")
    assert (target.suffix == ".png") == link.startswith(RAW)
    assert not anchor or anchor in anchors(target)


def test_pictures_of_the_readme_are_files():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert len(pictures) == 1
    assert all(link.startswith(f"{RAW}/main/docs/") for link in pictures)


@pytest.mark.parametrize("name", ["Homepage", "Documentation", "Repository", "Changelog"])
def test_the_urls_of_the_project_share_the_base(name):
    url = URLS[name]
    assert url == BASE or own_file(url).exists()


def test_the_studies_are_tables_and_one_picture_each():
    studies = [path for path in (ROOT / "docs" / "studies").iterdir() if path.is_dir()]
    kept = {"study.yaml", "results.csv", "summary.json", "dots.png"}
    for study in studies:
        assert kept <= {path.name for path in study.iterdir()} <= {*kept, "rates.csv"}
    assert studies
