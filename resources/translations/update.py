"""Keeps the catalogues in step with the program: ``python resources/translations/update.py`` (``--check`` only looks).

A catalogue (``de.toml`` …) is a TOML file: every English text of the window, and after the equals sign what it is
called in that language. This program reads the texts out of the source code, adds those that are new with an empty
translation, drops those that no code has any more, and lists what is left for a translator to do: empty translations,
and such as differ from the English text in what must be the same (see :func:`faults`). Where a new text is like one
that has just gone, the old pair stands above it in a comment.

Needs neither Qt nor any package.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import re
import string
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LANGUAGES = ("de", "es", "zh_CN")

#: What only the command line says, which is English, and the training, which is a process of its own: its log is, too.
NOT_SHOWN = ("cli/", "evaluation/", "training/", "engines/exporting.py", "engines/openvino_quantising.py")
#: Functions whose argument is a text for translation.
TRANSLATED = ("tr", "_tr", "mark", "translate")
#: What a user sees or hears: constructors, methods, and properties given to constructors.
SHOWN_BY = frozenset(
    {
        "QLabel", "QPushButton", "QCheckBox", "QRadioButton", "QToolButton", "QGroupBox", "QAction", "QMenu",
        "QListWidgetItem", "setText", "setToolTip", "setAccessibleName", "setAccessibleDescription", "setWindowTitle",
        "setTitle", "setPlaceholderText", "setSuffix", "setPrefix", "setSpecialValueText", "setStatusTip",
        "setWhatsThis", "setLabel", "setInformativeText", "addAction", "addMenu", "addItem", "addItems", "addButton",
        "addRow", "addTab", "insertItem", "setItemText", "drawText", "tell", "emit",
    }
)  # fmt: skip
SHOWN_AS = frozenset(
    {"text", "toolTip", "accessibleName", "accessibleDescription", "placeholderText", "windowTitle", "statusTip"}
)
#: Words that are no texts: names and units, which are the same in every language, icons, and what Qt calls sides.
NAMES = frozenset({"rfapp", "OpenVINO", "PyTorch", "px", "left", "bottom"})
NAMES |= {icon.stem for icon in (ROOT / "resources" / "icons").glob("*.svg")}


def source_files() -> Iterator[tuple[str, ast.Module]]:
    """Every module whose texts can get into the window, by its path below ``rfapp/``."""
    package = ROOT / "rfapp"
    # The window's own texts first: a text that several rooms have stands where a user meets it.
    for path in sorted(package.rglob("*.py"), key=lambda path: ("gui" not in path.parts, path)):
        name = path.relative_to(package).as_posix()
        if not name.startswith(NOT_SHOWN):
            yield name, ast.parse(path.read_text(encoding="utf-8"), name)


def texts() -> dict[str, str]:
    """Every text for translation, in the order of the code, and the module that it stands in."""
    found: dict[str, str] = {}
    for name, tree in source_files():
        for call in _calls(tree):
            if _called(call) in TRANSLATED and (text := _text(call)):
                found.setdefault(text, name)
    return found


def untranslatable() -> list[str]:
    """Places in the code where a text would be shown in English whatever the language: not marked, or not constant."""
    places = []
    for name, tree in source_files():
        for call in _calls(tree):
            called = _called(call)
            if called in ("tr", "_tr", "mark") and _text(call) is None and name not in ("text.py", "gui/dialogs.py"):
                places.append(f"{name}:{call.lineno}: the text of {called}() is not a constant")
            if name.startswith("gui/"):
                bare = [*call.args] if called in SHOWN_BY else []
                bare += [keyword.value for keyword in call.keywords if keyword.arg in SHOWN_AS]
                places += [f"{name}:{call.lineno}: “{text}” is not translated" for a in bare for text in _words(a)]
    return places


def _calls(tree: ast.AST) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _text(call: ast.Call) -> str | None:
    """The last constant argument: ``tr("…")``, ``QObject.tr(it, "…")``, ``translate("context", "…")``."""
    last = call.args[-1] if call.args else None
    return last.value if isinstance(last, ast.Constant) and isinstance(last.value, str) else None


def _words(node: ast.expr) -> Iterator[str]:
    """The words in a text that is shown as it stands; what is looked up elsewhere is not looked into."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = re.search(r"(?<![#\w])[^\W\d_]{2,}", re.sub(r"<[^>]*>", "", node.value))
        address = re.fullmatch(r"[a-z]+:", node.value)
        if words and not address and node.value.strip() not in NAMES:
            yield node.value
    elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.IfExp | ast.Tuple | ast.List):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr) and not (isinstance(node, ast.IfExp) and child is node.test):
                yield from _words(child)


# ---------------------------------------------------------------------------------------------- catalogues


def catalogue(language: str) -> dict[str, str]:
    """English text → translation."""
    path = HERE / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def faults(text: str, translation: str) -> list[str]:
    """What is wrong with a translation that can be seen without knowing the language."""
    if not translation.strip():
        return ["is not translated"]
    found = []
    for what, of in (
        ("placeholders", _placeholders),
        ("tags", lambda text: Counter(re.findall(r"</?\w+>", text))),
        ("file patterns", lambda text: Counter(re.findall(r"\*(?:\.\w+)?|;;", text))),
        ("options", lambda text: Counter(re.findall(r"--[a-z]\w*", text))),
        ("keyboard mnemonics", lambda text: len(re.findall(r"&\w", text))),
        ("lines", lambda text: text.count("\n")),
        ("spaces at its ends", lambda text: (text[:1] == " ", text[-1:] == " ")),
        ("end", _end),
        ("keys in brackets", _keys),
    ):
        if of(text) != of(translation):
            found.append(f"has other {what} than the English text")
    return found


def _placeholders(text: str) -> Counter[tuple[str, str, str]]:
    """``{name!conversion:format}``, and Qt's %n and %1."""
    fields = Counter(
        (name, form or "", conversion or "") for _, name, form, conversion in string.Formatter().parse(text) if name
    )
    fields.update((match, "", "") for match in re.findall(r"%(?:n|\d)", text))
    return fields


def _end(text: str) -> str:
    """Of a sentence, of something that goes on, or neither."""
    return {"。": ".", "：": ":", "？": "?"}.get(text[-1], text[-1]) if text[-1] in ".…:?。：？" else ""


def _keys(text: str) -> str:
    """The key that a tool tip names, "(Ctrl+O)", or "a word" for one with a name, as " (Space)": from the bracket on
    a screen reader is not told."""
    found = re.search(r" \(([A-Z]|Space|(?:Ctrl|Strg)[+\w,]+|F\d+)\)$", text)
    if found is None:
        return "a word" if re.search(r"^[^()]+ \([^() ]+\)$", text) else ""
    return "a word" if found[1] == "Space" else found[1].replace("Strg", "Ctrl")


def write(language: str, wanted: dict[str, str]) -> None:
    """Write the catalogue anew with *wanted* (text → module), keeping what is translated."""
    have = catalogue(language)
    gone = {text: told for text, told in have.items() if text not in wanted and told}
    lines = [
        f"# The texts of rfapp in the language {language}: English on the left, the translation on the right.",
        "# Edit the right side only. update.py, beside this file, keeps the left side and the order,",
        "# and tells what is missing.",
    ]
    module = ""
    for text, place in wanted.items():
        if place != module:
            module = place
            lines += ["", f"# {module}"]
        if text not in have:
            for old in difflib.get_close_matches(text, gone, 1, 0.7):
                lines.append(f"# was: {_quoted(old)} = {_quoted(gone[old])}")
        lines.append(f"{_quoted(text)} = {_quoted(have.get(text, ''))}")
    (HERE / f"{language}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _quoted(text: str) -> str:
    # What JSON writes without escaping letters, TOML reads.
    return json.dumps(text, ensure_ascii=False)


def problems() -> list[str]:
    """All that keeps the window from being translated whole."""
    wanted, found = texts(), untranslatable()
    for language in LANGUAGES:
        have = catalogue(language)
        found += [f"{language}: “{text}” ({wanted[text]}) is missing" for text in wanted if text not in have]
        found += [f"{language}: “{text}” stands nowhere in the code any more" for text in have if text not in wanted]
        for text, translation in have.items():
            found += [f"{language}: the translation of “{text}” {fault}" for fault in faults(text, translation)]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Keeps the translations of rfapp in step with its code.")
    parser.add_argument("--check", action="store_true", help="change nothing")
    if not parser.parse_args().check:
        wanted = texts()
        for language in LANGUAGES:
            write(language, wanted)
    found = problems()
    print("\n".join(found) or f"{len(texts())} texts, whole in {', '.join(LANGUAGES)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
