"""All settings at one moment, and the list of what there is to set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rfapp.errors import SettingsError
from rfapp.settings.about import About, checked
from rfapp.settings.groups import (
    DetectorSettings,
    HidingSettings,
    LiveSettings,
    RecordingSettings,
    SourceSettings,
    TrackingSettings,
    ViewSettings,
)
from rfapp.text import mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A snapshot of everything. The groups are the tables of the settings file."""

    detector: DetectorSettings = DetectorSettings()
    tracking: TrackingSettings = TrackingSettings()
    hiding: HidingSettings = HidingSettings()
    view: ViewSettings = ViewSettings()
    source: SourceSettings = SourceSettings()
    live: LiveSettings = LiveSettings()
    recording: RecordingSettings = RecordingSettings()

    @property
    def drawn(self) -> ViewSettings:
        """What is drawn over the picture: numbers only while faces are followed for their own sake."""
        return dataclasses.replace(self.view, numbers=self.view.numbers and self.tracking.on)

    def changed(self, **values: Any) -> Settings:
        """A snapshot with some settings changed, named as in ``changed(detector_score=0.5)``.

        Raises SettingsError for a value outside its limits.
        """
        groups: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            group, _, key = name.partition("_")
            groups.setdefault(group, {})[key] = value
        result = self
        for group, changes in groups.items():
            part = getattr(result, group)
            new = {key: check(type(part), key, value) for key, value in changes.items()}
            result = dataclasses.replace(result, **{group: dataclasses.replace(part, **new)})
        return result


_Group = (
    DetectorSettings
    | TrackingSettings
    | HidingSettings
    | ViewSettings
    | SourceSettings
    | LiveSettings
    | RecordingSettings
)
_GROUPS: dict[str, type[_Group]] = {
    "detector": DetectorSettings,
    "tracking": TrackingSettings,
    "hiding": HidingSettings,
    "view": ViewSettings,
    "source": SourceSettings,
    "live": LiveSettings,
    "recording": RecordingSettings,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the user interface sees it: ``group`` and ``key`` name it, ``about`` describes it."""

    group: str
    key: str
    default: Any
    about: About

    @property
    def name(self) -> str:
        return f"{self.group}_{self.key}"


def all_settings(groups: Iterable[str] | None = None) -> Iterator[Setting]:
    """Every setting (of *groups*), in the order in which a user should meet them."""
    for group in dataclasses.fields(Settings):
        if groups is not None and group.name not in groups:
            continue
        for item in dataclasses.fields(_GROUPS[group.name]):
            yield Setting(group.name, item.name, item.default, item.metadata["about"])


def check(group: type[_Group], key: str, value: Any) -> Any:
    """*value* in the setting's own type, or SettingsError with a sentence that names the setting and its limits."""
    item = {f.name: f for f in dataclasses.fields(group)}.get(key)
    if item is None:
        raise SettingsError(mark("There is no setting “{key}”."), key=key)
    return checked(item.metadata["about"], item.default, value)


def check_setting(setting: Setting, value: Any) -> Any:
    """*value* as :func:`check` would take it for *setting*."""
    return check(_GROUPS[setting.group], setting.key, value)
