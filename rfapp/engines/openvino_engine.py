"""Runs a network with OpenVINO on the CPU, out of the model's ONNX file; torch is not needed."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import openvino as ov

from rfapp import places, weights
from rfapp.engines import machine
from rfapp.engines.base import Candidates, Engine
from rfapp.engines.openvino_graph import GRAPH_VERSION, build, can_lie_apart, read_network
from rfapp.engines.quicker import Quicker
from rfapp.engines.rows import candidates_of, logit
from rfapp.errors import DeviceMissing, EngineFailed
from rfapp.frames import ByteImage, FloatArray
from rfapp.settings import write_whole
from rfapp.text import mark
from rfapp.weights.catalogue import sha256_of
from rfapp.weights.manifest import Model

log = logging.getLogger(__name__)

_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
#: Picture sizes that have a network compiled for them alone at a time: 15 MB each.
_SIZES = 4
#: The first sizes get one at once, further ones when they came this often in a row; until then the network for all
#: sizes runs them, a sixth slower. In pictures of many sizes that should not come by chance.
_AT_ONCE, _IN_A_ROW = 2, 5
#: A size that came this often in a row (a video, a camera) may be run in a second form, too, which takes 40 MB more.
_OFTEN = 12
#: Layers × sizes for which the network for all sizes keeps compiled code: about 7 sizes. Without a limit the process
#: would grow by 4 MB with each size; with twice as many it is no quicker and takes 50 MB more.
_CODE_KEPT = 512
#: Compiled models on disk, 2 to 110 MB each: the oldest go when there are more, or more bytes.
_FILES, _BYTES = 24, 512_000_000


@lru_cache(maxsize=1)
def _core() -> ov.Core:
    return ov.Core()


def half_precision() -> str:
    """The half precision that this CPU computes in by itself, or ""."""
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return next((name for name, mark_ in (("bfloat16", "BF16"), ("float16", "FP16")) if mark_ in able), "")


def _choose_precision(asked: str, model: Model) -> tuple[str, tuple[str, ...]]:
    if model.int8_of:
        # Its numbers are rounded for good: that name is told, whatever was asked for.
        note = mark("{asked} was asked for; {name} is an int8 form.").format(asked=asked, name=model.name)
        return "int8", () if asked in ("auto", "int8") else (note,)
    half = half_precision()
    if asked == "auto":
        return half or "float32", ()
    if asked in ("float32", half):
        return asked, ()
    used = half or "float32"
    return used, (
        mark("{asked} was asked for; this CPU does not have it, so {precision} is used.").format(
            asked=asked, precision=used
        ),
    )


class OpenVinoEngine(Engine):
    """A network on the CPU.

    A size that comes again and again (a video, a camera) has the network compiled for it alone; sizes that change
    (folders of pictures) share one network that takes any. Either is kept on disk once compiled, so that the next
    start reads it instead. One that came often in a row is compiled in a second form, too, and whichever is
    quicker runs.
    """

    name = "openvino"
    device = "cpu"
    device_title = "CPU"
    version = f"{ov.__version__} graph {GRAPH_VERSION}"

    def __init__(self, model: Model, device: str = "auto", precision: str = "auto", threads: int = 0) -> None:
        if device not in ("auto", "cpu"):
            raise DeviceMissing(
                mark("OpenVINO does not run on the device {device}, only on the CPU."),
                mark("Choose the device auto or cpu, or the engine torch."),
                device=device,
            )
        self.precision, self.notes = _choose_precision(precision, model)
        self.threads = threads or machine.threads_for(self.name, model, self.precision)
        self._model = model
        self._identity = self._fingerprint()
        self._sizes: OrderedDict[tuple[int, int], _Forms] = OrderedDict()
        self._any_size: _Forms | None = None
        self._read: ov.Model | None = None
        self._last, self._in_a_row = (0, 0), 0
        self._closed = False

    def _fingerprint(self) -> str:
        """What a compiled model depends on, beside the size: a hash for its file's name."""
        model, core = self._model, _core()
        facts = [
            model.onnx_sha256 or sha256_of(model.path),
            model.bin_sha256,
            model.config.to_mapping(),
            GRAPH_VERSION,
            self.precision,
            ov.__version__,
            core.get_property("CPU", "FULL_DEVICE_NAME"),
            sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def candidates(self, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        if self._closed:
            raise EngineFailed(mark("The engine was closed."), "")
        limit = np.float32(logit(score))
        try:
            return [self._run(image, limit) for image in images]
        except RuntimeError as error:
            raise _failure(error) from error

    def expect(self, size: tuple[int, int]) -> None:
        if self._closed:
            raise EngineFailed(mark("The engine was closed."), "")
        try:
            self._complete(self._sizes.get(size) or self._make(size), size)
        except RuntimeError as error:
            raise _failure(error) from error

    def network_alone(self, image: ByteImage) -> Callable[[], None]:
        try:
            size = (image.shape[0], image.shape[1])
            forms = _Forms(self._compiled(size).create_infer_request())
            self._complete(forms, size)
            picture = np.ascontiguousarray(image)
        except RuntimeError as error:
            raise _failure(error) from error

        def run() -> None:
            forms.run(picture)

        return run

    def close(self) -> None:
        self._closed = True
        self._sizes.clear()
        self._any_size = self._read = None

    def _run(self, image: ByteImage, limit: np.float32) -> Candidates:
        # The network leaves the caches full of its own numbers, so that each numpy call before and after it costs
        # several times what it does alone: there are few of them.
        forms = self._at((image.shape[0], image.shape[1]))
        rows = forms.run(np.ascontiguousarray(image))
        priors = np.flatnonzero(rows[:, 0] > limit)
        return candidates_of(rows.take(priors, axis=0), priors)

    # ---------------------------------------------------------------------------------------------- compiled models

    def _at(self, size: tuple[int, int]) -> _Forms:
        """What runs the next picture, which has this *size* (height, width)."""
        self._in_a_row = self._in_a_row + 1 if size == self._last else 1
        self._last = size
        forms = self._sizes.get(size)
        if forms is not None:
            self._sizes.move_to_end(size)
            if self._in_a_row == _OFTEN:
                self._complete(forms, size)
            return forms
        if len(self._sizes) < _AT_ONCE or self._in_a_row >= _IN_A_ROW:
            return self._make(size)
        if self._any_size is None:
            self._any_size = _Forms(self._compiled(None).create_infer_request())
        return self._any_size

    def _make(self, size: tuple[int, int]) -> _Forms:
        """A network for *size* alone, in the place of the one that was not used for longest."""
        while len(self._sizes) >= _SIZES:
            self._sizes.popitem(last=False)
        forms = self._sizes[size] = _Forms(self._compiled(size).create_infer_request())
        return forms

    def _complete(self, forms: _Forms, size: tuple[int, int]) -> None:
        """Have the second form for *size* among *forms*, if there is one that can help."""
        if not forms.single or self.threads == 1 or not can_lie_apart(self._model.config, size):
            return
        try:
            forms.add(self._compiled(size, apart=True).create_infer_request())
        except RuntimeError:  # the first form finds the same faces
            log.info("the second form of %s for %s can't be used", self._model.name, size, exc_info=True)

    def _compiled(self, size: tuple[int, int] | None, *, apart: bool = False) -> ov.CompiledModel:
        """The network for pictures of *size* (height, width), or of any, from disk if it is there."""
        # What is not quantised in an int8 form runs in half precision, too.
        precision = (half_precision() or "float32") if self.precision == "int8" else self.precision
        settings = {
            "INFERENCE_PRECISION_HINT": _TYPES[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            # Other work on the same cores (decoding, painting) must be able to push ours aside.
            "ENABLE_CPU_PINNING": False,
            "CPU_RUNTIME_CACHE_CAPACITY": _CODE_KEPT,
        }
        form = "any" if size is None else f"{size[1]}x{size[0]}{'-apart' if apart else ''}"
        path = _folder() / f"{self._identity}-{form}.blob"
        content = _read(path)
        if content is not None:
            try:
                return _core().import_model(io.BytesIO(content), "CPU", settings)
            except RuntimeError:
                log.debug("%s can't be used and is made again", path, exc_info=True)
        network = build(_core(), self._network(), self._model.config, size, precision=self.precision, apart=apart)
        compiled = _core().compile_model(network, "CPU", settings)
        _write(path, compiled.export_model().getvalue())
        return compiled

    def _network(self) -> ov.Model:
        """The model's network, for each use a new one; the file is read once."""
        if self._read is None:
            if self._model.int8_of:
                weights.verify(self._model)
                self._read = _core().read_model(self._model.path)
            else:
                content = weights.read_onnx(self._model)
                self._read = read_network(_core(), content, self._model.config, self.precision)
        return self._read.clone()


class _Forms:
    """A network for one picture size, or for any: in one form, or in two, of which the one that is quicker runs.

    Both give the same numbers. Which is quicker hangs on the processor, and in a virtual machine may change while it
    runs (``_hold`` in :mod:`rfapp.engines.openvino_graph` tells why).
    """

    def __init__(self, request: ov.InferRequest) -> None:
        self._requests: list[ov.InferRequest] = []
        self._places: list[_Place | None] = []
        self._append(request)

    def _append(self, request: ov.InferRequest) -> None:
        self._requests.append(request)
        self._places.append(None)
        self._quicker = Quicker(len(self._requests))

    @property
    def single(self) -> bool:
        """Whether there is one form only."""
        return len(self._requests) == 1

    def add(self, request: ov.InferRequest) -> None:
        """Have a second form."""
        request.infer(share_outputs=True)  # the first time touches new memory, which says nothing about the others
        self._append(request)

    def run(self, picture: ByteImage) -> FloatArray:
        """The rows of *picture* (C-contiguous): float32 N×15 or N×5, in memory that the next run uses."""
        form = self._quicker.next()
        request = self._requests[form]
        # Pictures that are made and let go one after the other often lie in the same place.
        place: _Place = picture.__array_interface__["data"][0], picture.shape
        if place != self._places[form]:
            request.set_input_tensor(_tensor(*place))
            self._places[form] = place
        began = time.perf_counter()
        outputs = request.infer(share_outputs=True)
        self._quicker.took(form, time.perf_counter() - began)
        rows: FloatArray = outputs.to_tuple()[0]
        return rows


#: The address of a picture's first byte, and its shape.
_Place = tuple[int, tuple[int, ...]]


def _tensor(address: int, shape: tuple[int, ...]) -> ov.Tensor:
    """The network's input: the very memory of a picture, which has to be there when the network runs.

    OpenVINO refuses read-only arrays, although it never writes to its input; so it gets one that only tells where the
    picture lies.
    """
    return ov.Tensor(np.asarray(_Memory(address, (1, *shape))), shared_memory=True)


class _Memory:
    """What numpy makes an array of bytes from, C-contiguous, without keeping anything alive."""

    def __init__(self, address: int, shape: tuple[int, ...]) -> None:
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": shape, "data": (address, False)}


def _failure(error: RuntimeError) -> EngineFailed:
    """What OpenVINO raised, as one of our errors."""
    log.debug("OpenVINO failed", exc_info=True)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return EngineFailed(
        mark("The network stopped on {device}: {reason}."),
        mark("Choose a smaller size, the precision float32, or the engine torch."),
        device="CPU",
        reason=(lines[-1] if lines else type(error).__name__).rstrip("."),
    )


def _folder() -> Path:
    return places.cache_dir() / "openvino"


def _read(path: Path) -> bytes | None:
    """The compiled model in *path* if it is there and whole: its sha256 stands before it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None
    return content[32:]


def _write(path: Path, content: bytes) -> None:
    """Keep a compiled model; a full or read-only disk only means that the next start compiles again."""
    try:
        write_whole(path, hashlib.sha256(content).digest() + content)
        total = 0
        files = sorted(path.parent.glob("*.blob"), key=lambda file: file.stat().st_mtime, reverse=True)
        for number, file in enumerate(files):
            total += file.stat().st_size
            if file != path and (number >= _FILES or total > _BYTES):
                file.unlink(missing_ok=True)
    except OSError as error:
        log.info("the compiled network can't be kept: %s", error)
