"""Help ▸ Report a problem: what a helper needs to know, in one file that the user can look into before sending it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rfapp import diagnosis
from rfapp.errors import OutputError
from rfapp.places import config_dir, log_dir
from rfapp.text import mark

#: Of each log file the last so many bytes are taken.
MOST_OF_A_LOG = 1_000_000


def write_report(path: Path) -> Path:
    """Write versions, devices, settings and logs to the zip file *path*. Raises OutputError.

    No picture is in it, and not what was opened lately: the addresses of streams may hold passwords.
    """
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _parts():
                archive.writestr(name, content)
    except OSError as error:
        raise OutputError(
            mark("“{path}” can't be written: {reason}."), path=path, reason=error.strerror or error
        ) from error
    return path


def _parts() -> Iterator[tuple[str, bytes]]:
    findings = [asdict(finding) for finding in diagnosis.examine(selftest=True)]
    yield "doctor.json", json.dumps(findings, indent=1, ensure_ascii=False, default=str).encode()
    for folder, pattern in ((log_dir(), "*.log*"), (config_dir(), "settings*.toml")):
        for file in sorted(folder.glob(pattern)) if folder.is_dir() else ():
            content = file.read_bytes()
            yield file.name, content[-MOST_OF_A_LOG:]
