"""Where rfapp's own files and the user's files lie.

Icons, translations and weights stand at the top of the repository (``resources/``, ``weights/``); a wheel or an
installer carries them inside the package. These functions know both places.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str, inside: str) -> Path:
    packaged = _PACKAGE / inside
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def resources() -> Path:
    """The folder of icons, translations and the sample picture."""
    return _shipped("resources", "_resources")


def shipped_weights() -> Path:
    """The folder of the default weights and their manifest."""
    return _shipped("weights", "_weights")


def config_dir() -> Path:
    """The user's folder for settings (not made here)."""
    import platformdirs

    return platformdirs.user_config_path("rfapp", appauthor=False)


def data_dir() -> Path:
    """The user's folder for imported and downloaded weights (not made here)."""
    import platformdirs

    return platformdirs.user_data_path("rfapp", appauthor=False)


def cache_dir() -> Path:
    """The user's folder for what can be made again: compiled networks, measurements (not made here)."""
    import platformdirs

    return platformdirs.user_cache_path("rfapp", appauthor=False)


def log_dir() -> Path:
    """The user's folder for log files (not made here)."""
    import platformdirs

    return platformdirs.user_log_path("rfapp", appauthor=False)
