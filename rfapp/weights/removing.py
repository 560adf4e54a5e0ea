"""Takes a model of the user's away again."""

from __future__ import annotations

from rfapp.errors import OutputError, UnknownModel, WeightsError
from rfapp.text import mark
from rfapp.weights import manifest
from rfapp.weights.catalogue import known, own_folder
from rfapp.weights.manifest import MANIFEST, Model


def remove_model(name: str) -> Model:
    """Take *name* out of the user's manifest and delete its files, unless another name stands for them, too.

    Returns what was removed. Raises UnknownModel, WeightsError for a model that comes with rfapp, or OutputError.
    """
    model = known().get(name)
    if model is None:
        raise UnknownModel(mark("There is no model “{name}”."), name=name)
    if model.shipped:
        raise WeightsError(mark("The model {name} comes with rfapp and stays."), name=name)
    folder = own_folder()
    models = manifest.read(folder / MANIFEST)
    gone = models.pop(name)
    try:
        # The manifest first: should deleting fail, a file too many lies there, and no name leads to nothing.
        manifest.write(folder / MANIFEST, models)
        if all(other.path != gone.path for other in models.values()) and gone.path.parent == folder:
            for path in (gone.path, gone.bin_path if gone.int8_of else gone.onnx_path):
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            mark("The model {name} could not be removed: {reason}."), name=name, reason=error.strerror or error
        ) from error
    return gone
