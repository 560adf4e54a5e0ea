"""The settings file, which never keeps rfapp from starting."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rfapp.errors import SettingsError
from rfapp.settings.snapshot import Settings, all_settings
from rfapp.text import mark

log = logging.getLogger(__name__)


def settings_file() -> Path:
    """Where this user's settings are kept."""
    from rfapp.places import config_dir

    return config_dir() / "settings.toml"


def load(path: Path) -> tuple[Settings, list[SettingsError]]:
    """The settings in *path*, and an error (not raised) for each thing in it that could not be used.

    Never fails: a missing file gives the defaults, a single bad value its default, and a file that is no TOML is
    renamed (``settings.broken-….toml``, so that nothing is lost) and gives the defaults.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        log.warning("settings file %s: %s", path, error)
        aside = path.with_name(f"{path.stem}.broken-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}")
        try:
            path.replace(aside)
        except OSError:
            return Settings(), [
                SettingsError(mark("The settings file {path} can't be read; defaults are used."), path=path)
            ]
        return Settings(), [
            SettingsError(
                mark("The settings file was damaged; defaults are used."),
                mark("The old file is kept as {path}."),
                path=aside,
            )
        ]
    return from_mapping(data)


def from_mapping(data: Mapping[str, Any]) -> tuple[Settings, list[SettingsError]]:
    """Settings from nested mappings as in the settings file; what can't be used is said and left at its default."""
    settings, problems = Settings(), list[SettingsError]()
    for setting in all_settings():
        table = data.get(setting.group)
        if not isinstance(table, Mapping) or setting.key not in table:
            continue
        try:
            settings = settings.changed(**{setting.name: table[setting.key]})
        except SettingsError as error:
            problems.append(SettingsError(error.message_template, mark("The default is used."), **error.values))
    return settings, problems


def to_mapping(settings: Settings) -> dict[str, dict[str, Any]]:
    """The nested mapping that the settings file holds: only what differs from the defaults."""
    result: dict[str, dict[str, Any]] = {}
    for setting in all_settings():
        value = getattr(getattr(settings, setting.group), setting.key)
        if value != setting.default:
            result.setdefault(setting.group, {})[setting.key] = value
    return result


def save(settings: Settings, path: Path) -> None:
    """Write *settings* to *path*: to a temporary name first, then renamed, so that a cut never leaves half a file."""
    import tomli_w

    write_whole(path, tomli_w.dumps(to_mapping(settings)).encode())


def write_whole(path: Path, content: bytes) -> None:
    """Put *content* at *path* so that at any moment the old or the new file is there whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
