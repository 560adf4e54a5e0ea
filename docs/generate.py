"""What the documentation site makes out of the program itself, so that it can't go stale. A hook of mkdocs.

The start page, the rules for contributors, the changes and the origin of the weights are the files of the repository.
In other pages a line ``<!-- made: NAME -->`` is replaced by what :data:`MADE` makes under that name. After the build
every page is searched for what a browser would load from another server: there must be nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from rfapp.cli.main import COMMANDS, make_parser
from rfapp.models.config import ARCHITECTURES
from rfapp.places import shipped_weights
from rfapp.settings import Setting, Settings, all_settings
from rfapp.training.recipes import RECIPES
from rfapp.weights import manifest
from rfapp.weights.downloads import DOWNLOADS
from rfapp.weights.published import PUBLISHED

ROOT = Path(__file__).resolve().parent.parent

#: Pages that are files of the repository.
COPIED = (
    ("index.md", "README.md"),
    ("contributing.md", "CONTRIBUTING.md"),
    ("changelog.md", "CHANGELOG.md"),
    ("weights.md", "weights/README.md"),
)
_LINKS = {name: page for page, name in COPIED} | {"LICENSE": "models.md#the-licence-of-rfapp"}
_MARK = re.compile(r"^<!-- made: ([a-z]+) -->$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^):\s]+)\)")
_WIDTH = 85


# ------------------------------------------------------------------------------------------- the hook


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are files of the repository, and the icon."""
    for page, name in COPIED:
        files.append(File.generated(config, page, content=copied(name)))
    icon = ROOT / "resources" / "icons" / "app.svg"
    files.append(File.generated(config, "images/rfapp.svg", abs_src_path=str(icon)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Put in what is made."""
    return filled(markdown)


def on_page_content(html: str, *, page: Any, config: Any, files: Any) -> str:
    """Docstrings are written for readers of the code: turn what mkdocstrings leaves of their roles into plain code."""
    html = re.sub(r":(?:class|func|meth|mod|data):<code>~?([^<]*)</code>", r"<code>\1</code>", html)
    html = re.sub(r" *# doctest: \+SKIP", "", html)
    return html.replace("<p>::</p>", "").replace("::</p>", ":</p>")


def on_post_build(*, config: Any) -> None:
    """Fail where a page would load something from another server."""
    site = Path(config["site_dir"])
    for path in sorted(site.rglob("*.html")):
        if found := foreign(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path.relative_to(site)} loads from another server: {', '.join(found)}")


# ------------------------------------------------------------------------------------------- pages and links


def copied(name: str) -> str:
    """The repository's file *name*, its links leading to pages of the site."""

    def led(match: re.Match[str]) -> str:
        target, hash_, anchor = match[1].partition("#")
        target = target.removeprefix("docs/")
        return f"]({_LINKS.get(target, target)}{hash_}{anchor})"

    return _LINK.sub(led, (ROOT / name).read_text(encoding="utf-8"))


def filled(markdown: str) -> str:
    """*markdown* with what is made in the place of its marks. Raises PluginError for a name that is not known."""

    def make(match: re.Match[str]) -> str:
        if match[1] not in MADE:
            raise PluginError(f"nothing called “{match[1]}” is made; there are {', '.join(MADE)}")
        return "\n".join(MADE[match[1]]())

    return _MARK.sub(make, markdown)


class _Loads(HTMLParser):
    """Collects the addresses that a browser loads by itself (not the links that a reader may follow)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        address = values.get("src") or values.get("srcset") or (values.get("href") if tag == "link" else None) or ""
        if re.match(r"(?:[a-z]+:)?//", address) and values.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(address)


def foreign(html: str) -> list[str]:
    """What a browser that shows *html* would load from another server."""
    parser = _Loads()
    parser.feed(html)
    return parser.found


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(heading) + " |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
    yield ""


# ------------------------------------------------------------------------------------------- settings


def settings_tables() -> Iterator[str]:
    """A table for every group of the schema."""
    for group in dataclasses.fields(Settings):
        about = type(getattr(Settings(), group.name)).__doc__ or ""
        yield from (f"## `[{group.name}]` {about.rstrip('.')}", "")
        rows = [
            (
                f"**{setting.about.label}**<br>`{setting.key}`",
                f"`{setting.about.option}`" if setting.about.option else "",
                f"`{_written(setting.default)}`",
                _values(setting),
                setting.about.help,
            )
            for setting in all_settings([group.name])
        ]
        yield from table(("setting", "option", "default", "values", "what it does"), rows)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def _values(setting: Setting) -> str:
    about = setting.about
    if isinstance(setting.default, bool):
        return "`true`, `false`"
    unit = f" {about.unit}" if about.unit else ""
    limits = f"{about.minimum:g} to {about.maximum:g}{unit}" if about.minimum is not None else ""
    words = [choice for choice in about.choices or () if isinstance(choice, str)]
    parts = [limits, *(f"`{word}`" for word in words)]
    if about.choices_from:
        parts.append("a name, a file or a folder")
    return ", ".join(filter(None, parts)) or "any text"


# ------------------------------------------------------------------------------------------- the command line


def commands() -> Iterator[str]:
    """Every command with its arguments and options."""
    for name in COMMANDS:
        yield from describe(name)


def describe(name: str) -> Iterator[str]:
    """One command, with those below it."""
    yield from _command(_below(make_parser(name))[name], 2)


def _command(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield from ("#" * level + f" {parser.prog}", "", (parser.description or "").replace("*", "\\*"), "")
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    usage = parser.format_usage().rstrip().replace("\n" + " " * len("usage: "), "\n").removeprefix("usage: ")
    yield from ("```", usage, "```", "")
    below = _below(parser)
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if action.help is not argparse.SUPPRESS
            and not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        ]
        if not actions:
            continue
        title = {"positional arguments": "argument", "options": "option"}.get(group.title or "", group.title or "")
        rows = [(f"`{_names(action)}`", _help(parser, action)) for action in actions]
        yield from table((title, ""), rows)
    if parser.epilog:
        yield from (parser.epilog, "")
    for child in below.values():
        yield from _command(child, level + 1)


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a command's own commands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _names(action: argparse.Action) -> str:
    choices = "|".join(map(str, action.choices)) if action.choices else None
    if not action.option_strings:
        return str(choices or action.metavar or action.dest)
    value = "" if action.nargs == 0 else f" {action.metavar or choices or action.dest.upper()}"
    return ", ".join(action.option_strings) + value


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    values = {**vars(action), "prog": parser.prog}
    return (action.help or "") % values


# ------------------------------------------------------------------------------------------- models


def models() -> Iterator[str]:
    """The models that come with rfapp, as their manifest tells of them."""
    for model in manifest.read(shipped_weights() / manifest.MANIFEST, shipped=True).values():
        yield from (f"### `{model.name}`", "", f"{model.title}. Comes with rfapp.", "")
        files = [
            (model.path, model.bytes, model.sha256),
            (model.onnx_path, model.onnx_bytes, model.onnx_sha256),
            (model.bin_path, model.bin_bytes, model.bin_sha256),
        ]
        rows = [(f"`{path.name}`", f"{size:,} bytes, sha256 `{sha256}`") for path, size, sha256 in files if sha256]
        rows += [("origin", model.origin), ("licence", model.licence)]
        sizes = list(dict.fromkeys(key.partition(" ")[0] for key in model.ap))
        for size in sizes:
            figures = " / ".join(f"{model.ap[f'{size} {level}']:.2f}" for level in ("easy", "medium", "hard"))
            rows.append((f"WIDER FACE easy / medium / hard at size {size}", f"{figures} %"))
        yield from table(("what", ""), rows)


def networks() -> Iterator[str]:
    """Every network that rfapp knows."""
    rows = [
        (
            f"`{name}`",
            f"{config.family}, {config.backbone} trunk",
            "five points" if config.landmarks else "none",
            ", ".join(map(str, config.steps)),
            "live" if config.live else "single pictures",
            ", ".join(f"`{recipe}`" for recipe in RECIPES.get(name, ())) or "not trained by rfapp",
        )
        for name, config in ARCHITECTURES.items()
    ]
    yield from table(("network", "what", "landmarks", "strides in px", "meant for", "recipes"), rows)


def downloads() -> Iterator[str]:
    """What ``rfapp weights download`` can fetch."""
    rows = [
        (f"`{item.name}`", item.title, f"{item.bytes / 1e6:.0f} MB", item.licence, f"`{item.address}`")
        for item in DOWNLOADS.values()
    ]
    yield from table(("name", "what", "size", "licence", "from"), rows)


def checkpoints() -> Iterator[str]:
    """Published checkpoints that are recognised when they are imported."""
    rows = [(item.title, item.origin, item.licence, f"`{sha256[:16]}…`") for sha256, item in PUBLISHED.items()]
    yield from table(("what", "file", "licence", "sha256"), rows)


def licence() -> Iterator[str]:
    """The licence of rfapp's own code."""
    yield from ("```", (ROOT / "LICENSE").read_text(encoding="utf-8").strip(), "```")


#: What a mark in a page is replaced by.
MADE: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings_tables,
    "commands": commands,
    "models": models,
    "networks": networks,
    "downloads": downloads,
    "checkpoints": checkpoints,
    "licence": licence,
}
