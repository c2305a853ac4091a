"""The house: imports follow the data, one way."""

import ast
from pathlib import Path

import pytest

import ahl

PACKAGE = Path(ahl.__file__).parent

ORDER = """
errors types printable files literals randomness metrics intervals config records observer
tensor_file
resuming devices process_settings processes
pages images drawing datasets augment feature_maps backbones
features
preparation detectors calibration model distributions learning fitting scoring
reviews correction
predictor detector
runtime
engine
baselines benchmark
logs
advice
report
export
watching
scale
serving
demo
cli
__main__
""".split()  # noqa: SIM905
"""Modules and folders in the order data meets them; each imports from those before it only."""

INSIDE = {
    "images": "decoding array_files finding reading sources batches",
    "features": "tiles sizing table store extractor arrays",
    "preparation": "reduction coreset memory prepared",
    "calibration": "neighbourhood severity calibration fit",
    "model": "decision card manifest episodes exemplars row_scores stored_heads trained",
    "distributions": "episodes pseudo training_set folds task",
    "learning": "data_parallel finetuning adam collaboration sample_scores importance "
    "training_state checkpoint settling training cross_fitting learn",
    "fitting": "extraction adaptation run",
    "runtime": "messages artefact onnx_session openvino_session scorer",
    "export": "graph resizing pooling onnx_model openvino_model torch_program parity export",
    "scoring": "prediction outputs reasons telling heat_maps nearest forward describing scorer "
    "thresholds evaluation",
    "serving": "access settings refusals admission forms bodies batching worker metrics answers "
    "schema service feedback routes static_files gate app protocol server",
    "watching": "arrivals new_names journal results mover lock destinations watcher",
    "reviews": "marks store",
    "correction": "correction remembering correct images reviewed",
    "scale": "places inputs fetching shard_files shard run ray_engine",
}
"""The same within the folders that the data goes through."""

LEAVES = ("advice", "logs", "report", "export", "watching", "scale", "serving", "demo")
"""They know what comes before them, but not each other."""

LONGEST = 330
"""Lines of the longest module: beyond, it holds more than one concept."""


def place_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Top-level parts of ahl that a file imports, also inside its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ahl."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.ImportFrom) and node.module == "ahl":
            found |= {alias.name for alias in node.names} & set(ORDER)
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("ahl.")}
    return found


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


def test_every_module_has_its_place():
    assert {place_of(path) for path in FILES} == set(ORDER)


def test_imports_lead_backwards_only():
    for path in FILES:
        here = place_of(path)
        for imported in imports_of(path) - {here}:
            assert ORDER.index(imported) < ORDER.index(here), f"{path.name} imports {imported}"


def test_leaves_do_not_know_each_other():
    for path in FILES:
        if place_of(path) in LEAVES:
            assert not imports_of(path) & (set(LEAVES) - {place_of(path)}), path


def test_no_two_test_modules_share_a_name():
    """The folders of tests are no packages: pytest would then stop before the first test."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_no_module_has_grown_beyond_one_concept():
    long = {p.name: n for p in FILES if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long


@pytest.mark.parametrize("folder", INSIDE)
def test_within_a_folder_too_imports_lead_backwards_only(folder):
    order = INSIDE[folder].split()
    files = {path.stem: path for path in (PACKAGE / folder).glob("*.py") if path.stem != "__init__"}
    assert set(files) == set(order)
    for place, name in enumerate(order):
        for node in ast.walk(ast.parse(files[name].read_text())):
            if isinstance(node, ast.ImportFrom):
                start = f"ahl.{folder}."
                module = (node.module or "") + "."
                if module.startswith(start):
                    assert order.index(module.removeprefix(start)[:-1]) < place, (name, module)
                assert module != start, "modules are imported from, not folders"
