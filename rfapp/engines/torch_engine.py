"""Runs a network with PyTorch: on CPUs, NVIDIA graphics cards (CUDA) and Apple's (MPS)."""

from __future__ import annotations

import logging
import os
import platform
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from rfapp.engines import machine
from rfapp.engines.base import Candidates, Engine
from rfapp.engines.memory import keep_freed_memory
from rfapp.engines.rows import candidates_of, logit, rows_of
from rfapp.engines.torch_network import ReadyNetwork, ready, use_onednn
from rfapp.errors import DeviceMissing, EngineFailed
from rfapp.frames import ByteImage, FloatArray
from rfapp.text import mark
from rfapp.weights import checkpoints
from rfapp.weights.manifest import Model

log = logging.getLogger(__name__)

# oneDNN keeps what it compiled for each shape of each layer, 1024 of them unless it is told otherwise before it runs
# first: with pictures of many sizes the process would grow by hundreds of megabytes. This holds about five sizes, and
# compiling again takes milliseconds.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Rows that a graphics card hands over without being asked twice.
_ROWS = 4096
#: CUDA graphs kept, one per picture size and batch.
_GRAPHS = 8


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 by itself (x86: AVX512-BF16 or AMX; ARM: BF16)."""
    if platform.machine().lower() in ("arm64", "aarch64"):
        check = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
        return bool(check is not None and torch.backends.mkldnn.is_available() and check())  # type: ignore[no-untyped-call]
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(bool(check()) for check in checks if check is not None)


def cuda_problem() -> str:
    """Why torch can't use the first NVIDIA graphics card, as a sentence, or "" when it can."""
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return mark("This torch was built without CUDA.")
    if not torch.cuda.is_available():
        return mark("torch finds no usable NVIDIA graphics card: the driver is missing or too old.")
    major, minor = torch.cuda.get_device_capability(0)
    if not _has_kernels(major, minor, torch.cuda.get_arch_list()):
        return mark(
            "This torch has no code for {card} (compute capability {major}.{minor}); it was built for {built}."
        ).format(
            card=torch.cuda.get_device_name(0), major=major, minor=minor, built=", ".join(torch.cuda.get_arch_list())
        )
    return ""


def _has_kernels(major: int, minor: int, built: Sequence[str]) -> bool:
    """Whether a build for the architectures *built* ("sm_90", "compute_90" …) runs on a card of that capability.

    Machine code (sm) runs on cards of the same major and at least the minor number, intermediate code (compute) on
    every newer card.
    """
    for name in built:
        kind, _, number = name.partition("_")
        digits = number.rstrip("af")  # sm_90a, sm_100f: for special features of that architecture
        if not digits.isdigit():
            continue
        have = divmod(int(digits), 10)
        if kind == "sm" and have[0] == major and have[1] <= minor and (digits == number or have[1] == minor):
            return True
        if kind == "compute" and have <= (major, minor):
            return True
    return False


def choose_device(asked: str) -> tuple[torch.device, list[str]]:
    """The device that *asked* means, and why it is not a better one. Raises DeviceMissing."""
    from rfapp.engines import cuda_driver_present

    if asked == "cpu":
        return torch.device("cpu"), []
    if asked.startswith("cuda"):
        problem = cuda_problem()
        if problem:
            raise DeviceMissing(
                mark("The device {device} can't be used. {reason}"),
                mark("Choose the device auto or cpu."),
                device=asked,
                reason=problem,
            )
        return torch.device("cuda:0"), []
    if asked == "mps" or (asked == "auto" and platform.system() == "Darwin"):
        if torch.backends.mps.is_available():
            return torch.device("mps"), []
        if asked == "mps":
            raise DeviceMissing(
                mark("The device {device} can't be used. {reason}"),
                mark("Choose the device auto or cpu."),
                device=asked,
                reason=mark("This computer has no Apple graphics that torch can use."),
            )
    elif asked == "auto" and cuda_driver_present():
        problem = cuda_problem()
        if not problem:
            return torch.device("cuda:0"), []
        return torch.device("cpu"), [problem]
    elif asked != "auto":
        raise DeviceMissing(
            mark("There is no device {device}."), mark("Choose one of auto, cpu, cuda, mps."), device=asked
        )
    return torch.device("cpu"), []


def _choose_precision(asked: str, device: torch.device) -> tuple[str, list[str]]:
    if device.type != "cpu":
        return ("float16" if asked == "auto" else asked), []
    best = "bfloat16" if cpu_has_bfloat16() else "float32"
    if asked == "float16":
        return best, [
            mark("float16 was asked for; CPUs run it many times slower, so {precision} is used.").format(precision=best)
        ]
    return (best if asked == "auto" else asked), []


class TorchEngine(Engine):
    """A network on one device.

    On the CPU rows are filtered in numpy straight from torch's memory. On graphics cards the frame goes over as
    uint8, everything else happens there, and one small table comes back with one synchronisation.
    """

    name = "torch"
    version = str(torch.__version__)

    def __init__(self, model: Model, device: str = "auto", precision: str = "auto", threads: int = 0) -> None:
        chosen, notes = choose_device(device)
        self.precision, more = _choose_precision(precision, chosen)
        self.notes = (*notes, *more)
        self.device = str(chosen)
        self._device = chosen
        self._dtype = _DTYPES[self.precision]
        self.threads = threads or machine.threads_for(self.name, model, self.precision)
        self.device_title = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else chosen.type.upper()
        self.batch = 1 if chosen.type == "cpu" else 8
        network = ready(checkpoints.build(model), self._dtype)
        if chosen.type == "cpu":
            keep_freed_memory()
            if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
                use_onednn(network)
        with self._failures():
            self._network: ReadyNetwork | None = network.eval().to(chosen)
        self._graphs: OrderedDict[tuple[int, ...], _CudaGraph] = OrderedDict()

    def candidates(self, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        if self._network is None:
            raise EngineFailed(mark("The engine was closed."), "")
        with self._failures(), torch.inference_mode():
            if self._device.type == "cpu":
                if torch.get_num_threads() != self.threads:
                    torch.set_num_threads(self.threads)
                return self._on_cpu(self._network, images, score)
            # Without TensorFloat-32, whose products have half precision's ten bits, and without cuDNN's trials of every
            # kernel at each new size, which take seconds.
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False):
                return self._on_card(self._network, images, score)

    def network_alone(self, image: ByteImage) -> Callable[[], None]:
        if self._network is None:
            raise EngineFailed(mark("The engine was closed."), "")
        network, frames = self._network, _stacked([image]).to(self._device)

        def run() -> None:
            with self._failures(), torch.inference_mode():
                if self._device.type == "cpu":
                    torch.set_num_threads(self.threads)
                network(frames)
                if self._device.type == "cuda":
                    torch.cuda.synchronize(self._device)
                elif self._device.type == "mps":
                    torch.mps.synchronize()

        return run

    def close(self) -> None:
        self._graphs.clear()
        self._network = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    # ------------------------------------------------------------------------------------------------------ CPU

    def _on_cpu(self, network: ReadyNetwork, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        levels = [level.numpy() for level in network(_stacked(images))]
        anchors = network.anchors
        # score > s is logit > log(s / (1 − s)): the exponential is only taken of the rows that stay.
        limit = np.float32(logit(score))
        results = []
        for index in range(len(images)):
            rows, priors, first = [], [], 0
            for level in levels:
                above = np.flatnonzero(level[index, :, :anchors] > limit)
                priors.append(first + above)
                rows.append(rows_of(level[index], above, anchors))
                first += level.shape[1] * anchors
            results.append(candidates_of(np.concatenate(rows), np.concatenate(priors)))
        return results

    # ------------------------------------------------------------------------------------------- graphics cards

    def _on_card(self, network: ReadyNetwork, images: Sequence[ByteImage], score: float) -> list[Candidates]:
        frames = _stacked(images)
        if self._device.type == "cuda":
            table = self._graph(network, tuple(frames.shape))(frames)
        else:
            table = _top_rows(network(frames.to(self._device)), network.anchors, _ROWS).cpu()
        limit = logit(score)
        best: FloatArray = table.numpy()
        if best.shape[1] == _ROWS and bool((best[:, -1, 0] > limit).any()):
            # More faces than the table holds (a stadium at full size): fetch every row of these pictures.
            levels = network(frames.to(self._device))
            count = sum(level.shape[1] for level in levels) * network.anchors
            best = _top_rows(levels, network.anchors, count).cpu().numpy()
        results = []
        for rows in best:
            kept = rows[rows[:, 0] > limit]
            # The index travels as float32, which is exact up to 16.7 million priors.
            results.append(candidates_of(kept[:, :-1], kept[:, -1].astype(np.int64)))
        return results

    def _graph(self, network: ReadyNetwork, shape: tuple[int, ...]) -> _CudaGraph:
        graph = self._graphs.pop(shape, None)
        if graph is None:
            if len(self._graphs) >= _GRAPHS:
                self._graphs.popitem(last=False)
            graph = _CudaGraph(network, shape, self._device)
        self._graphs[shape] = graph
        return graph

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Tell what torch raises as one of our errors."""
        try:
            yield
        except torch.OutOfMemoryError as error:
            raise EngineFailed(
                mark("The memory of {device} is full."),
                mark("Choose a smaller size, close other programs that use it, or choose the device cpu."),
                device=self.device_title,
            ) from error
        except (RuntimeError, NotImplementedError) as error:
            log.debug("torch failed", exc_info=True)
            raise EngineFailed(
                mark("The network stopped on {device}: {reason}."),
                mark("Choose the device cpu or the precision float32."),
                device=self.device_title,
                reason=str(error).strip().split("\n", 1)[0].rstrip("."),
            ) from error


class _CudaGraph:
    """The whole way from frame to table of best rows, recorded once for one shape and replayed without Python."""

    def __init__(self, network: ReadyNetwork, shape: tuple[int, ...], device: torch.device) -> None:
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self._frames = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(self._stream):
            for _ in range(3):  # lets cuDNN choose its kernels and the allocator settle before recording
                result = self._run(network)
        self._stream.synchronize()
        self._recorded = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._recorded, stream=self._stream):
            self._result = self._run(network)
        self._table = torch.empty(result.shape, dtype=torch.float32, pin_memory=True)

    def _run(self, network: ReadyNetwork) -> Tensor:
        return _top_rows(network(self._frames), network.anchors, _ROWS)

    def __call__(self, frames: Tensor) -> Tensor:
        self._host.copy_(frames)
        with torch.cuda.stream(self._stream):
            self._frames.copy_(self._host, non_blocking=True)
            self._recorded.replay()
            self._table.copy_(self._result, non_blocking=True)
        self._stream.synchronize()
        return self._table


def _stacked(images: Sequence[ByteImage]) -> Tensor:
    if len(images) == 1:
        image = images[0]
        # torch wants memory that it may write to, and frames are read-only; copying one costs 50 µs.
        if not (image.flags.writeable and image.flags.c_contiguous):
            image = image.copy()
        return torch.from_numpy(image)[None]
    return torch.from_numpy(np.stack(images))


def _top_rows(levels: Sequence[Tensor], anchors: int, count: int) -> Tensor:
    """float32 (B, ≤ count, 16 or 6), best first: logit, 4 box deltas, 10 or no landmark deltas, prior."""
    cells = torch.cat(list(levels), dim=1)
    batch = cells.shape[0]
    logits = cells[..., :anchors].reshape(batch, -1)
    boxes = cells[..., anchors : anchors * 5].reshape(batch, -1, 4)
    points = cells.shape[2] // anchors - 5
    landmarks = cells[..., anchors * 5 :].reshape(batch, logits.shape[1], points)
    best, index = logits.topk(min(count, logits.shape[1]), dim=1)
    picked = index[..., None]
    return torch.cat(
        [
            best[..., None],
            boxes.gather(1, picked.expand(-1, -1, 4)),
            landmarks.gather(1, picked.expand(-1, -1, points)),
            picked.float(),
        ],
        dim=2,
    )
