"""The documentation says what is so: its commands parse, what it names is there, and what is made is whole.

That the site builds, with every link leading somewhere, is the check “documentation” of dev.py.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import rfapp
from rfapp.cli.main import COMMANDS, make_parser
from rfapp.models.config import ARCHITECTURES
from rfapp.settings import all_settings
from rfapp.weights.downloads import DOWNLOADS

mkdocs = pytest.importorskip("mkdocs", reason="the documentation's tools are not installed")

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "weights" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_in(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# ---------------------------------------------------------------------------------------------- what is written


def calls_in(blocks: list[str]) -> list[str]:
    """The calls of rfapp in *blocks* of code, without comments."""
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.partition(" #")[0].split("&&")]
    return [part for part in parts if part.startswith("rfapp ") and "…" not in part]


def chosen_in(words: list[str]) -> str:
    return next((word for word in words if word in COMMANDS), "gui")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_can_be_given_as_it_is_written(name, capsys):
    for call in calls_in(code_in(text_of(name), "")):
        words = shlex.split(call)[1:]
        chosen = chosen_in(words)
        try:
            make_parser(chosen).parse_args(words if chosen in words else [chosen, *words])
        except SystemExit:
            pytest.fail(f"{call}: {capsys.readouterr().err}")


@pytest.mark.parametrize("name", NAMES)
def test_every_option_that_a_sentence_names_is_there(made, name):
    text = text_of(name)
    for call in calls_in(re.findall(r"`(rfapp [^`]+)`", text)):
        words = call.split()[1:]
        options = " ".join(made.describe(chosen_in(words)))
        for word in words:
            assert not word.startswith("--") or word == "--help" or f"{word}`" in options or f"{word} " in options, call
    everywhere = " ".join(made.commands())
    for option in re.findall(r"`(--[a-z-]+)", text):
        assert option in everywhere or option in ("--version", "--upgrade-package"), option


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_is_there(name):
    text = text_of(name)
    for path in re.findall(r"`((?:rfapp|tests|benchmarks|docs|packaging|weights|resources)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in tests, test


@pytest.mark.parametrize("name", NAMES)
def test_what_python_examples_import_is_there(name):
    for block in code_in(text_of(name), "python"):
        if block.startswith(" "):
            continue  # a part of a file
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rfapp"):
                for item in node.names:
                    assert hasattr(import_module(node.module), item.name), f"{node.module}.{item.name}"


def test_the_library_page_has_every_public_name():
    listed = set(re.findall(r"^::: ([\w.]+)$", text_of("docs/library.md"), re.MULTILINE))
    for name in rfapp.__all__:
        if name == "__version__":
            continue
        value = getattr(rfapp, name)
        assert f"{value.__module__}.{name}" in listed | {"rfapp.errors.RfappError"}
    for path in listed:
        module, _, name = path.rpartition(".")
        assert path == "rfapp.errors" or hasattr(import_module(module), name), path


def test_every_key_of_the_window_is_in_the_table_of_keys():
    tree = ast.parse(text_of("rfapp/gui/window.py"))
    (function,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "_shortcuts"]
    keys = [
        node.elts[0].value
        for node in ast.walk(function)
        if isinstance(node, ast.Tuple) and isinstance(node.elts[0], ast.Constant)
    ]
    assert len(keys) > 15
    told = set(re.findall(r"`([^`]+)`", text_of("docs/first-minutes.md").partition("## Keys")[2].partition("\n## ")[0]))
    assert set(keys) <= told, "docs/first-minutes.md has the table of keys"


def test_every_picture_comes_from_the_one_command():
    program = ast.parse(text_of("docs/screenshots.py"))
    (shots,) = [
        node.value for node in program.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SHOTS"
    ]
    assert isinstance(shots, ast.Dict)
    taken = {f"{ast.literal_eval(key)}.png" for key in shots.keys if key is not None}
    assert {path.name for path in (ROOT / "docs" / "images").iterdir()} == taken
    shown = {image for name in NAMES for image in re.findall(r"images/([\w-]+\.png)", text_of(name))}
    assert shown <= taken
    assert len(shown) > 8


# ---------------------------------------------------------------------------------------------- what is made


def test_every_setting_is_in_its_table(made):
    text = "\n".join(made.settings_tables())
    for setting in all_settings():
        start = f"| **{setting.about.label}**<br>`{setting.key}` "
        (row,) = [row for row in text.splitlines() if row.startswith(start)]
        assert setting.about.help in row
        assert setting.about.option is None or f"`{setting.about.option}`" in row
        for choice in setting.about.choices or ():
            assert not isinstance(choice, str) or f"`{choice}`" in row
    assert '| `"mobilenet0.25"` | a name, a file or a folder |' in text
    assert "64 to 8192 px, `original`" in text


def test_every_command_and_option_is_in_the_list(made):
    text = "\n".join(made.commands())
    for name in COMMANDS:
        assert f"## rfapp {name}\n" in text
    for heading in ("### rfapp weights import", "### rfapp data check"):
        assert f"{heading}\n" in text
    for setting in all_settings():
        assert setting.about.option is None or setting.about.option in text
    assert "(default: 25 %)" in text, "percent signs are not taken for formats"
    assert "| `PX\\|original` |" not in text
    assert "| `--size PX\\|original` |" in text
    assert "%(" not in text


def test_every_model_network_and_download_is_told(made):
    models = "\n".join(made.models())
    assert "### `mobilenet0.25`" in models
    assert "MIT (Copyright (c) 2024 Yakhyokhuja Valikhujaev" in models
    assert re.search(r"size 640 \| 89\.39 / 83\.26 / \d\d\.\d\d %", models)
    assert all(f"`{name}`" in "\n".join(made.networks()) for name in ARCHITECTURES)
    assert all(item.licence in "\n".join(made.downloads()) for item in DOWNLOADS.values())
    assert "MIT License" in "\n".join(made.licence())


def test_every_mark_is_filled_and_an_unknown_one_is_an_error(made):
    pages = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md"))
    assert {match[1] for match in made._MARK.finditer(pages)} == set(made.MADE)
    assert made.filled("a\n\n<!-- made: licence -->\n\nb").startswith("a\n\n```\nMIT License")
    with pytest.raises(Exception, match="nothing called “nonsense”"):
        made.filled("<!-- made: nonsense -->")


def test_links_of_copied_files_lead_to_pages(made):
    page = made.copied("README.md")
    assert "](images/live.png)" in page
    assert "](contributing.md)" in page
    assert "](weights.md)" in page
    assert "](docs/" not in page


def test_what_a_browser_would_load_from_elsewhere_is_found(made):
    assert made.foreign('<a href="https://x.org">a link</a><link rel="canonical" href="https://x.org">') == []
    assert made.foreign('<img src="images/live.png"><link rel="stylesheet" href="a.css">') == []
    for tag in (
        '<script src="https://x.org/a.js">',
        '<link rel="stylesheet" href="//x.org/a.css">',
        '<link rel="preconnect" href="https://fonts.gstatic.com">',
        '<img src="http://x.org/p.png">',
        '<iframe src="https://x.org"></iframe>',
    ):
        assert len(made.foreign(tag)) == 1
