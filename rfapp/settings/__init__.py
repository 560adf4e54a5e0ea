"""All that a user can set, said once.

Each setting is a dataclass field that carries its label, help, limits and unit. From these the settings pane, the
command line's options, the settings file and the settings page of the docs are made: a new setting is one field in
``groups.py`` and nothing else. Choices that only a running program knows (models, devices) are handed in by the caller
under the name in ``choices_from``.

A :class:`Settings` object is an immutable snapshot; whoever changes something makes a new one with
:func:`dataclasses.replace` (or :meth:`Settings.changed`) and hands it on.
"""

from __future__ import annotations

from rfapp.settings.about import About
from rfapp.settings.file import from_mapping, load, save, settings_file, to_mapping, write_whole
from rfapp.settings.groups import (
    DetectorSettings,
    HidingSettings,
    LiveSettings,
    RecordingSettings,
    Size,
    SourceSettings,
    TrackingSettings,
    ViewSettings,
)
from rfapp.settings.options import add_arguments, from_arguments
from rfapp.settings.snapshot import Setting, Settings, all_settings, check, check_setting

__all__ = [
    "About",
    "DetectorSettings",
    "HidingSettings",
    "LiveSettings",
    "RecordingSettings",
    "Setting",
    "Settings",
    "Size",
    "SourceSettings",
    "TrackingSettings",
    "ViewSettings",
    "add_arguments",
    "all_settings",
    "check",
    "check_setting",
    "from_arguments",
    "from_mapping",
    "load",
    "save",
    "settings_file",
    "to_mapping",
    "write_whole",
]
