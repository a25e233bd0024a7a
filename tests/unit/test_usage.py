"""The lines that load `model.keras`."""

from pathlib import Path

from study.finalize.modelcard import loading_lines


def test_keras_alone_loads_what_needs_nothing() -> None:
    """Two lines."""
    assert loading_lines((), "digits-cnn", Path("out")) == [
        "import keras",
        'model = keras.models.load_model("model.keras")',
    ]


def test_users_file_is_run_for_what_it_defines(tmp_path: Path) -> None:
    """Its place is given from the folder of the file that is loaded."""
    lines = loading_lines(
        ("Net", "mine>Scale", "Lambda"), f"{tmp_path}/net.py:build", tmp_path / "o"
    )
    assert "own = runpy.run_path('../net.py')" in lines
    assert lines[-1] == (
        'model = keras.models.load_model("model.keras", '
        'custom_objects={"Net": own["Net"]}, safe_mode=False)'
    )


def test_module_is_imported(tmp_path: Path) -> None:
    """As the study does it."""
    lines = loading_lines(("Net",), "package.module:build", tmp_path)
    assert "own = vars(importlib.import_module('package.module'))" in lines
