"""Builds what people install who have never heard of Python: ``python3 dev.py package [live|full]…``

For each edition: an environment of its own with the pinned packages, PyInstaller's folder, the licences of all that is
in it, and then what the system that it runs on installs: a .deb and a .tar.xz, an Inno Setup installer, or a .dmg.
What is made lies in ``dist/``, with ``SHA256SUMS``. The standard library only, and dev.py beside it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import dev  # noqa: E402

HERE = ROOT / "packaging"
BUILD = ROOT / "build" / "installers"
DIST = ROOT / "dist"
EDITIONS = {"live": "rfapp-live", "full": "rfapp"}
SUMMARIES = {
    "live": "Finds faces live: in the webcam, in videos, in pictures (without training)",
    "full": "Finds faces live: in the webcam, in videos, in pictures; with training",
}
DESCRIPTION = """\
 rfapp draws boxes and five landmarks on the faces that it finds, while the
 picture runs. It works on ordinary processors; nothing leaves the computer.
 The same detector is a command line for folders and long videos.
"""
#: Where the parts under the GPL and the LGPL come from, in source.
SOURCES = {
    "FFmpeg, x264, x265 (in PyAV)": "https://github.com/PyAV-Org/pyav-ffmpeg (the build), https://ffmpeg.org, "
    "https://code.videolan.org/videolan/x264, https://bitbucket.org/multicoreware/x265_git",
    "FFmpeg (in OpenCV)": "https://github.com/opencv/opencv-python, https://ffmpeg.org",
    "Qt and PySide6": "https://download.qt.io/official_releases/QtForPython/, https://code.qt.io",
}
#: Only needed to build.
TOOLS = {"pip", "setuptools", "wheel", "pyinstaller", "pyinstaller-hooks-contrib", "altgraph", "packaging"}


def version() -> str:
    text = (ROOT / "rfapp" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found[1]


def architecture() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


# ------------------------------------------------------------------------------------------- the edition's packages


def requirements(edition: str) -> list[str]:
    """What the edition holds, by the project's own lists; OpenCV without the Qt that its other form brings along."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["package"]]
    if edition == "full":
        wanted += extras["evaluation"]
    return [re.sub(r"^opencv-python(?=[^-\w])", "opencv-python-headless", one) for one in wanted]


def pins(folder: Path) -> Path:
    """The constraints, with a pin for the other form of OpenCV, too."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    text += "".join(
        line.replace("opencv-python", "opencv-python-headless", 1) + "\n"
        for line in text.splitlines()
        if line.startswith("opencv-python==")
    )
    path = folder / "constraints.txt"
    path.write_text(text, encoding="utf-8")
    return path


def environment(edition: str) -> Path:
    """The Python of the edition's own environment; made anew when its packages have changed."""
    folder = BUILD / f"venv-{edition}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = requirements(edition)
    BUILD.mkdir(parents=True, exist_ok=True)
    constraints = pins(BUILD)
    key = hashlib.sha256("\0".join([sys.version, *wanted, constraints.read_text("utf-8")]).encode()).hexdigest()
    done = folder / "rfapp.key"
    if done.is_file() and done.read_text() == key:
        return python
    dev.step(f"{edition}: make an environment", [[sys.executable, "-m", "venv", "--clear", str(folder)]])
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    if edition == "full":
        wish = next(line for line in constraints.read_text("utf-8").splitlines() if line.startswith("torch=="))
        plain = sys.platform in ("win32", "darwin")  # there the ordinary wheel is the one for processors
        torch = wish if plain else f"{wish}+cpu"
        index = [] if plain else ["--index-url", dev.CPU_INDEX]
        dev.step(
            "full: install PyTorch for the processor",
            [[*install, "--no-deps", torch]],
            [[*install, "--no-deps", *index, torch]],
        )
        wanted = [*wanted, torch]
    dev.step(f"{edition}: install what goes into it", [[*install, *wanted]])
    done.write_text(key)
    return python


# ------------------------------------------------------------------------------------------- the folder


def folder_of(edition: str, python: Path) -> Path:
    """What PyInstaller makes of it, with the licences."""
    name = EDITIONS[edition]
    icon = icons(python)
    shutil.rmtree(BUILD / name, ignore_errors=True)
    command = [
        str(python), "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN",
        "--distpath", str(BUILD), "--workpath", str(BUILD / f"work-{edition}"), str(HERE / "rfapp.spec"),
    ]  # fmt: skip
    os.environ.update(RFAPP_EDITION=edition, RFAPP_ICON=str(icon))
    dev.step(f"{edition}: put the program together", [command])
    made = BUILD / (f"{name}.app" if sys.platform == "darwin" else name)
    target = made / "Contents" / "Resources" / "licences" if sys.platform == "darwin" else made / "licences"
    licences(python, target)
    return made


def icons(python: Path) -> Path:
    """The icon as this system wants it, drawn by Qt from the one in resources/."""
    ending = {"win32": "ico", "darwin": "icns"}.get(sys.platform, "png")
    path = BUILD / f"rfapp.{ending}"
    code = (
        "import sys; from PySide6.QtGui import QGuiApplication, QIcon; a = QGuiApplication(['x', '-platform', "
        "'offscreen']); sys.exit(not QIcon(sys.argv[1]).pixmap(256, 256).save(sys.argv[2]))"
    )
    dev.step("draw the icon", [[str(python), "-c", code, str(ROOT / "resources" / "icons" / "app.svg"), str(path)]])
    return path


LICENCE_CODE = """
import importlib.metadata as metadata, pathlib, shutil, sys
target, tools = pathlib.Path(sys.argv[1]), set(sys.argv[2].split(","))
for each in sorted(metadata.distributions(), key=lambda one: one.name.lower()):
    if each.name.lower() in tools:
        continue
    facts = each.metadata
    stated = facts.get("License-Expression") or next(
        (one.rpartition("::")[2].strip() for one in facts.get_all("Classifier") or () if one.startswith("License")), ""
    ) or (facts.get("License") or "see its files").strip().splitlines()[0][:80]
    print(f"{each.name} {each.version}: {stated}")
    for file in each.files or ():
        name = file.name.lower()
        if ".dist-info" in str(file) and name.startswith(("licen", "copying", "notice", "authors", "gpl", "lgpl")) or \\
                "third-party" in name or "/licenses/" in file.as_posix():
            source = pathlib.Path(each.locate_file(file))
            if source.is_file() and source.suffix not in (".py", ".pyc"):
                folder = target / each.name
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, folder / source.name)
"""


def licences(python: Path, target: Path) -> None:
    """Whose work is in the bundle, under which terms, and where its source is."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    said = subprocess.run(
        [str(python), "-c", LICENCE_CODE, str(target), ",".join(TOOLS)], check=True, capture_output=True, text=True
    ).stdout
    shutil.copyfile(ROOT / "LICENSE", target / "rfapp-LICENSE.txt")
    shutil.copyfile(ROOT / "weights" / "README.md", target / "weights.md")
    for file in sorted((HERE / "licences").iterdir()):
        shutil.copyfile(file, target / file.name)
    text = (HERE / "licences.txt").read_text(encoding="utf-8")
    sources = "".join(f"  {what}: {where}\n" for what, where in SOURCES.items())
    python_line = f"Python {platform.python_version()}: PSF-2.0\n"
    (target / "README.txt").write_text(
        text.replace("@SOURCES@", sources.rstrip()).replace("@PACKAGES@", python_line + said.strip()), encoding="utf-8"
    )


# ------------------------------------------------------------------------------------------- Linux


def linux(edition: str, folder: Path) -> list[Path]:
    stem = f"{EDITIONS[edition]}_{version()}_{architecture()}"
    made = [relocatable(folder, DIST / f"{stem}.tar.xz")]
    if shutil.which("dpkg-deb"):
        made.append(deb(edition, folder, DIST / f"{stem}.deb"))
    else:
        dev.say("dev.py: no .deb was made, because this system lacks dpkg-deb.")
    return made


def relocatable(folder: Path, path: Path) -> Path:
    """The folder, to be unpacked anywhere and started as ``rfapp-…/rfapp``."""
    dev.step(
        f"write {path.name}",
        [["tar", "--owner=0", "--group=0", "--sort=name", "-C", str(folder.parent), "-I", "xz -T0 -6", "-cf",
          str(path), folder.name]],
    )  # fmt: skip
    return path


def deb(edition: str, folder: Path, path: Path) -> Path:
    name = EDITIONS[edition]
    root = BUILD / f"deb-{edition}"
    shutil.rmtree(root, ignore_errors=True)
    lib = root / "usr" / "lib" / name
    shutil.copytree(folder, lib, symlinks=True)
    _place(root / "usr/share/applications/rfapp.desktop", (HERE / "linux/rfapp.desktop").read_text(encoding="utf-8"))
    metainfo = (HERE / "linux/rfapp.metainfo.xml").read_text(encoding="utf-8")
    metainfo = metainfo.replace("@VERSION@", version()).replace("@DATE@", time.strftime("%Y-%m-%d"))
    _place(root / "usr/share/metainfo/io.github.rfapp.rfapp.metainfo.xml", metainfo)
    icon = root / "usr/share/icons/hicolor/scalable/apps/rfapp.svg"
    icon.parent.mkdir(parents=True)
    shutil.copyfile(ROOT / "resources" / "icons" / "app.svg", icon)
    _place(root / "usr/share/doc" / name / "copyright", (lib / "licences" / "README.txt").read_text(encoding="utf-8"))
    program = root / "usr" / "bin" / "rfapp"
    program.parent.mkdir(parents=True)
    program.symlink_to(f"../lib/{name}/rfapp")
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file() and not file.is_symlink())
    other = next(one for one in EDITIONS.values() if one != name)
    _place(
        root / "DEBIAN" / "control",
        f"Package: {name}\nVersion: {version()}\nArchitecture: {architecture()}\n"
        f"Maintainer: rfapp <rfapp@users.noreply.github.com>\nSection: video\nPriority: optional\n"
        f"Installed-Size: {size // 1024}\nDepends: {', '.join(depends(lib))}\n"
        f"Conflicts: {other}\nReplaces: {other}\nDescription: {SUMMARIES[edition]}\n{DESCRIPTION}",
    )
    for file in [root, *root.rglob("*")]:  # whatever the umask was
        if not file.is_symlink():
            runs = file.is_dir() or os.access(file, os.X_OK)
            file.chmod(0o755 if runs else 0o644)
    dev.step(f"write {path.name}", [["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(path)]])
    return path


def _place(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


#: What Qt opens by name while it runs, so that no file of the bundle says so.
OPENED = ("libxcb-cursor.so.0", "libEGL.so.1", "libGL.so.1", "libfontconfig.so.1")
#: Libraries whose Debian package is known; those of "start" and "x11" in dev.py, and what every program stands on.
PACKAGES = {
    **{library: package for group in ("start", "x11", "wayland") for library, package in dev.LIBRARIES[group]},
    "libstdc++.so.6": "libstdc++6",
    "libgcc_s.so.1": "libgcc-s1",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb.so.1": "libxcb1",
    "libzstd.so.1": "libzstd1",
}
#: These come with the C library itself.
C_LIBRARY = (
    "libc.so",
    "libm.so",
    "libmvec.so",
    "libdl.so",
    "libpthread.so",
    "librt.so",
    "libutil.so",
    "libresolv.so",
    "ld-linux",
)


def depends(folder: Path) -> list[str]:
    """Debian's packages that the files in *folder* need beside each other: libraries, and the C library's version."""
    needed, versions, own = set(OPENED), [(2, 17)], set()
    for file in folder.rglob("*"):
        own.add(file.name)
        if file.is_symlink() or not file.is_file() or not _is_elf(file):
            continue
        facts = subprocess.run(["readelf", "-dV", str(file)], capture_output=True, text=True, check=True).stdout
        needed.update(re.findall(r"\(NEEDED\).*\[(.+?)\]", facts))
        versions += [tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+\.\d+)\b", facts)]
    foreign = {library for library in needed - own if not library.startswith(C_LIBRARY)}
    if unknown := sorted(foreign - PACKAGES.keys()):
        raise dev.Stop(f"packaging/installers.py knows no Debian package of {', '.join(unknown)}; add it to PACKAGES.")
    packages = {PACKAGES[library] for library in foreign}
    named = {f"{one} | {dev.RENAMED[one]}" if one in dev.RENAMED else one for one in packages}
    return [f"libc6 (>= {'.'.join(map(str, max(versions)))})", *sorted(named)]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


# ------------------------------------------------------------------------------------------- Windows, macOS


def windows(edition: str, folder: Path) -> list[Path]:
    compiler = shutil.which("iscc") or r"C:\Program Files (x86)\Inno Setup 6\ISCC.exe"
    if not Path(compiler).is_file():
        raise dev.Stop("Inno Setup 6 is not installed; get it from jrsoftware.org, then run dev.py package again.")
    name = EDITIONS[edition]
    dev.step(
        f"write the installer of {name}",
        [[compiler, "/Qp", f"/DName={name}", f"/DVersion={version()}", f"/DFolder={folder}", f"/DOutput={DIST}",
          f"/DIcon={BUILD / 'rfapp.ico'}", str(HERE / "windows" / "rfapp.iss")]],
    )  # fmt: skip
    return [DIST / f"{name}_{version()}_amd64-setup.exe"]


def macos(edition: str, folder: Path) -> list[Path]:
    """The .app, signed for this computer only unless RFAPP_SIGN_IDENTITY names a certificate, in a .dmg."""
    name = EDITIONS[edition]
    identity = os.environ.get("RFAPP_SIGN_IDENTITY", "-")
    hardened = [] if identity == "-" else ["--options", "runtime", "--timestamp"]
    entitlements = str(HERE / "macos" / "entitlements.plist")
    path = DIST / f"{name}_{version()}_{architecture()}.dmg"
    path.unlink(missing_ok=True)
    dev.step(
        f"sign {folder.name}",
        [["codesign", "--force", "--deep", *hardened, "--entitlements", entitlements, "--sign", identity, str(folder)]],
    )
    dev.step(
        f"write {path.name}",
        [["hdiutil", "create", "-volname", name, "-srcfolder", str(folder), "-format", "ULMO", str(path)]],
    )
    return [path]


# ------------------------------------------------------------------------------------------- all of it


def package(edition: str) -> list[Path]:
    python = environment(edition)
    folder = folder_of(edition, python)
    DIST.mkdir(exist_ok=True)
    if sys.platform == "win32":
        return windows(edition, folder)
    return macos(edition, folder) if sys.platform == "darwin" else linux(edition, folder)


def sums() -> None:
    """``SHA256SUMS`` of all that lies in dist/."""
    files = sorted(file for file in DIST.iterdir() if file.is_file() and file.name.startswith("rfapp"))
    lines = []
    for file in files:
        with file.open("rb") as opened:
            lines.append(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {file.name}\n")
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def main(words: list[str]) -> int:
    unknown = [word for word in words if word not in EDITIONS]
    if unknown:
        dev.say(f"dev.py: there is no edition “{unknown[0]}”; known are: {', '.join(EDITIONS)}.")
        return 2
    try:
        for edition in words or EDITIONS:
            for path in package(edition):
                dev.say(f"dev.py: {path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
        sums()
    except dev.Stop as stop:
        dev.say(f"dev.py: {stop}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
