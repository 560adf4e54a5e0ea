"""MXNet's files: read right, and refused with a sentence when damaged or hostile."""

import struct
import sys

import numpy as np
import pytest

from rfapp.errors import WeightsAltered, WeightsError
from rfapp.weights.mxnet_file import read_params
from rfapp.weights.mxnet_layout import is_mnet, state_from_mxnet


def written(arrays: dict[str, np.ndarray], version: int = 2) -> bytes:
    """As MXNet writes it."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        dims = array.shape
        if version == 2:
            parts.append(struct.pack(f"<IiI{len(dims)}q", 0xF993FAC9, 0, len(dims), *dims))
        elif version == 1:
            parts.append(struct.pack(f"<II{len(dims)}q", 0xF993FAC8, len(dims), *dims))
        else:
            parts.append(struct.pack(f"<I{len(dims)}I", len(dims), *dims))
        kind = {"float32": 0, "float64": 1, "int64": 6}[str(array.dtype)]
        parts.append(struct.pack("<iii", 1, 0, kind) + array.tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    for name in arrays:
        parts.append(struct.pack("<Q", len(name.encode())) + name.encode())
    return b"".join(parts)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_every_version_of_the_format_comes_back(tmp_path, version):
    arrays = {
        "arg:a_weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "aux:b_mean": np.array([1.5, -2.5]),
        "c": np.array([7], np.int64),
    }
    path = tmp_path / "net.params"
    path.write_bytes(written(arrays, version))
    back = read_params(path)
    assert list(back) == ["a_weight", "b_mean", "c"]
    for name, array in arrays.items():
        assert np.array_equal(back[name.removeprefix("arg:").removeprefix("aux:")], array)


def test_the_published_file(test_data):
    arrays = read_params(test_data / "checkpoints" / "mnet.25-0000.params")
    assert len(arrays) == 273
    assert sum(array.size for array in arrays.values()) == 433_904
    assert is_mnet(arrays)
    state = state_from_mxnet(arrays, test_data)
    assert state["body.stage1.0.0.weight"].shape == (8, 3, 3, 3)
    # Anchors come small first: what was the second anchor's box is the first's now.
    theirs = arrays["face_rpn_bbox_pred_stride8_bias"]
    assert np.array_equal(state["BboxHead.0.conv1x1.bias"], np.concatenate([theirs[4:], theirs[:4]]))
    # Background and face of each anchor stand together.
    scores = arrays["face_rpn_cls_score_stride8_bias"]
    assert np.array_equal(state["ClassHead.0.conv1x1.bias"], scores[[1, 3, 0, 2]])


def test_a_missing_array_is_named(tmp_path):
    arrays = {"mobilenet0_conv0_weight": np.zeros((8, 3, 3, 3), np.float32)}
    with pytest.raises(WeightsAltered, match="mobilenet0_batchnorm0_gamma"):
        state_from_mxnet(arrays, tmp_path)


def peak_kb() -> int:
    if sys.platform != "linux":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_damaged_and_hostile_files_end_in_a_sentence_and_take_no_memory(tmp_path):
    rng = np.random.default_rng(5)
    honest = written({f"arg:w{i}": rng.random((16, 3, 3, 3), np.float32) for i in range(20)})
    path = tmp_path / "net.params"
    before = peak_kb()
    sentences = []
    for case in range(300):
        content = bytearray(honest)
        if case % 3 == 0:
            content = content[: rng.integers(0, len(content))]
        elif case % 3 == 1:
            for place in rng.integers(0, len(content), 40):
                content[place] ^= 1 << rng.integers(0, 8)
        else:
            # Numbers that want to be lengths, where lengths stand.
            start = int(rng.choice([16, 24, 28, 32, 36, 44, 52, 60]))
            content[start : start + 8] = rng.choice([b"\xff" * 8, b"\xff" * 7 + b"\x7f", struct.pack("<Q", 1 << 40)])
        path.write_bytes(content)
        try:
            read_params(path)
        except WeightsError as error:
            sentences.append(str(error))
    assert len(sentences) > 150
    assert all("net.params" in sentence for sentence in sentences)
    assert peak_kb() - before < 50_000
