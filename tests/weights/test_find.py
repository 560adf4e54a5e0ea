"""Models by name and by file; missing, cut, altered and hostile files."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from rfapp import places, weights
from rfapp.cli import main
from rfapp.errors import UnknownModel, WeightsAltered, WeightsError, WeightsMissing, WeightsUnsafe
from rfapp.models.config import MNET_025_GRAY, MOBILENET_025
from rfapp.weights import catalogue, manifest


def test_shipped_models():
    models = weights.known()
    assert list(models)[:2] == ["mobilenet0.25", "mobilenet0.25-imported"]
    for model in models.values():
        weights.verify(model)
        assert model.shipped
        assert model.folded
        assert model.config == (MNET_025_GRAY if model.name == "mnet0.25-gray" else MOBILENET_025)
        assert "MIT" in model.licence
        assert model.answer.score > 0.99
    readme = (places.shipped_weights() / "README.md").read_text(encoding="utf-8")
    for model in models.values():
        assert model.sha256 in readme
        assert f"{model.bytes:,}" in readme
    assert "Copyright (c) 2024 Yakhyokhuja Valikhujaev" in readme
    assert "Copyright (c) 2025 ddfabbro" in readme


def test_by_name_by_file_and_by_folder(tmp_path):
    by_name = weights.find("mobilenet0.25")
    assert weights.find(str(by_name.path)).config == by_name.config
    alone = tmp_path / "somewhere.safetensors"
    shutil.copy(by_name.path, alone)
    told = weights.find(alone)  # its own metadata tells what it is
    assert (told.config, told.folded, told.name) == (by_name.config, True, "somewhere")
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(by_name.path, run / "best.safetensors")
    shutil.copy(by_name.onnx_path, run / "best.onnx")
    manifest.write(run / "manifest.toml", {"mine": replace(by_name, path=run / "best.safetensors")})
    assert weights.find(run).path == run / "best.safetensors"
    with pytest.raises(WeightsMissing, match="not the folder of one model"):
        weights.find(tmp_path)


def test_unknown_name_and_missing_file():
    with pytest.raises(UnknownModel, match=r"no model “mobilenet9”.*mobilenet0\.25"):
        weights.find("mobilenet9")
    for path in ("gone.pth", "gone.safetensors", "there/is/none", Path("none")):
        with pytest.raises(WeightsMissing, match=Path(path).name):
            weights.find(path)


def test_missing_cut_and_altered(shipped):
    file = shipped / "mobilenet0.25.safetensors"
    content = file.read_bytes()
    weights.find("mobilenet0.25")
    file.write_bytes(content[:1000])
    with pytest.raises(WeightsAltered, match=rf"1000 bytes instead of {len(content)}\. Install rfapp again\."):
        weights.find("mobilenet0.25")
    altered = bytearray(content)
    altered[-1] ^= 1
    file.write_bytes(altered)
    with pytest.raises(WeightsAltered, match="have changed"):
        weights.find("mobilenet0.25")
    with pytest.raises(WeightsAltered, match="have changed"):
        weights.find(file)  # by its path, too: the manifest beside it knows better
    file.unlink()
    with pytest.raises(WeightsMissing, match="is missing"):
        weights.find("mobilenet0.25")


def test_hash_is_remembered_until_the_file_changes(shipped, monkeypatch):
    file = shipped / "mobilenet0.25.safetensors"
    first = catalogue.sha256_of(file)
    monkeypatch.setattr(catalogue.hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert catalogue.sha256_of(file) == first
    os.utime(file, ns=(1, 1))
    with pytest.raises(pytest.fail.Exception):
        catalogue.sha256_of(file)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(shipped):
    (shipped / "mobilenet0.25.safetensors").chmod(0)
    with pytest.raises(WeightsError, match="permissions"):
        weights.find("mobilenet0.25")


@pytest.mark.parametrize(
    "content",
    [
        "models = 3",
        "models.a = 3",
        "[models.a]\nfile = '../a'",
        "[models.a]\nfile = 'a'",
        "[models.a]\nfile = 'a'\n[models.a.config]\narchitecture = 'yolo'",
        "[models.a]\nfile = 'a'\nbytes = 'many'\n[models.a.config]\narchitecture = 'resnet50'",
        "[models.a]\nfile = 'a'\nanswer = {}\n[models.a.config]\narchitecture = 'resnet50'",
        "no toml",
    ],
)
def test_damaged_manifest_is_one_sentence(tmp_path, content):
    path = tmp_path / "manifest.toml"
    path.write_text(content)
    with pytest.raises(WeightsError, match="can't be used") as caught:
        manifest.read(path)
    assert "\n" not in caught.value.message


def test_manifest_round_trip(tmp_path):
    model = replace(
        weights.find("mobilenet0.25"), path=tmp_path / "x.safetensors", shipped=False, ap={"easy": 90.7}, name="x"
    )
    manifest.write(tmp_path / "manifest.toml", {"x": model})
    assert manifest.read(tmp_path / "manifest.toml") == {"x": model}


def test_own_model_never_hides_a_shipped_one():
    model = replace(weights.find("mobilenet0.25"), path=weights.own_folder() / "x.safetensors", title="mine")
    manifest.write(weights.own_folder() / "manifest.toml", {"mobilenet0.25": model, "own": model})
    assert weights.known()["mobilenet0.25"].shipped
    assert not weights.known()["own"].shipped


def test_damaged_list_of_own_models_stops_nothing_shipped(capsys):
    weights.own_folder().mkdir(parents=True)
    (weights.own_folder() / "manifest.toml").write_text("no toml")
    assert weights.find("mobilenet0.25").shipped
    with pytest.raises(WeightsError, match="can't be used"):
        weights.known(strict=True)
    assert main(["weights", "list"]) == 1
    assert "can't be used" in capsys.readouterr().err


class Attack:
    def __reduce__(self):
        return os.system, ("touch PWNED",)


def test_malicious_pickle_is_not_run(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    plain = [tmp_path / f"protocol{number}.pth" for number in range(pickle.HIGHEST_PROTOCOL + 1)]
    for number, path in enumerate(plain):
        path.write_bytes(pickle.dumps({"state_dict": Attack()}, protocol=number))
    modern = tmp_path / "modern.pth"
    torch.save({"body.stage1.0.0.weight": Attack()}, modern)
    legacy = tmp_path / "legacy.pth"
    torch.save({"a": Attack()}, legacy, _use_new_zipfile_serialization=False)
    for path in (*plain, modern, legacy):
        with pytest.raises(WeightsUnsafe, match=path.name) as caught:
            weights.find(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".bin"])
@pytest.mark.parametrize(
    "content",
    [b"", b"just text\n" * 50, b"\x80\x02", b"\xff" * 4096, b"(dp0\n.", b"PK\x03\x04 no archive", b"\0" * 64],
    ids=["empty", "text", "cut pickle", "noise", "no tensors", "half a zip", "zeros"],
)
def test_garbage_is_one_sentence(tmp_path, suffix, content):
    pytest.importorskip("torch")
    path = tmp_path / f"garbage{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsAltered, match=path.name) as caught:
        weights.find(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_cut_checkpoint(tmp_path, test_data):
    pytest.importorskip("torch")
    content = (test_data / "checkpoints/mobilenet0.25_Final.pth").read_bytes()
    for share in (0.01, 0.5, 0.999):
        path = tmp_path / "cut.pth"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(WeightsAltered, match="damaged"):
            weights.find(path)


def test_checkpoints_of_other_networks(tmp_path, test_data):
    torch = pytest.importorskip("torch")
    with pytest.raises(WeightsAltered, match="no RetinaFace"):
        weights.find(test_data / "checkpoints/mobilenetV1X0.25_pretrain.tar")
    path = tmp_path / "other.pth"
    torch.save({"body.stage1.0.0.weight": torch.zeros(24, 3, 3, 3)}, path)
    with pytest.raises(WeightsAltered, match="no RetinaFace"):
        weights.find(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"text")
    with pytest.raises(WeightsAltered, match="damaged"):
        weights.find(path)


def test_published_files_are_known_by_their_sha256(test_data):
    first = weights.find(test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth")
    final = weights.find(test_data / "checkpoints/mobilenet0.25_Final.pth")
    assert (first.config.slope, final.config.slope) == (0.0, 0.1)
    assert first.origin
    assert final.licence


def test_finding_needs_no_torch(test_data):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rfapp import weights\n"
        "print(weights.find('mobilenet0.25').config.slope)\n"
        f"print(weights.find({str(test_data / 'checkpoints/mobilenet0.25_Final.pth')!r}).config.slope)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0.1", "0.1"], done.stderr


def test_unknown_checkpoint_without_torch_is_one_sentence(tmp_path):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"whatever")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from rfapp import weights\nfrom rfapp.errors import EngineMissing\n"
        f"try: weights.find({str(path)!r})\nexcept EngineMissing as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "torch is needed" in done.stdout, done.stderr
    assert "pip install torch" in done.stdout


@pytest.mark.parametrize("name", ["ainnoface", "ainnoface-r50", "ainnoface-r18"])
def test_networks_without_published_weights_have_to_be_trained(name, capsys):
    with pytest.raises(WeightsMissing, match=f"The network {name} has to be trained first.*rfapp train --model {name}"):
        weights.find(name)
    assert main(["detect", "nothing.png", "--model", name]) == 1
    assert "has to be trained first" in capsys.readouterr().err
    assert main(["weights", "download", name]) == 1
    assert "-imagenet" in capsys.readouterr().err
    assert main(["weights", "list"]) == 0
    assert name in capsys.readouterr().err


def test_other_networks_can_be_fetched():
    with pytest.raises(WeightsMissing, match="rfapp weights download"):
        weights.find("resnet50")


def test_a_file_without_metadata_tells_which_ainnoface_it_holds(tmp_path):
    torch = pytest.importorskip("torch")
    import safetensors.torch

    from rfapp.models.config import AINNOFACE, AINNOFACE_R18, AINNOFACE_R50
    from rfapp.models.networks import make_network

    for config in (AINNOFACE, AINNOFACE_R50, AINNOFACE_R18):
        with torch.device("meta"):
            network = make_network(config)
        shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        assert catalogue.config_for(shapes) == config
    safetensors.torch.save_file(make_network(AINNOFACE_R18).state_dict(), tmp_path / "mine.safetensors")
    assert weights.find(tmp_path / "mine.safetensors").config == AINNOFACE_R18


def test_a_network_that_sees_one_channel_is_told_by_its_first_convolution(tmp_path):
    torch = pytest.importorskip("torch")
    import safetensors.torch

    from rfapp.models.config import MNET_025_GRAY
    from rfapp.models.networks import make_network

    torch.manual_seed(0)
    safetensors.torch.save_file(make_network(MNET_025_GRAY).state_dict(), tmp_path / "mine.safetensors")
    assert weights.find(tmp_path / "mine.safetensors").config == MNET_025_GRAY
