"""Prints docs/api.md: every public name, its parameters and what it is, from `ahl.__all__`."""

import inspect
import re
import textwrap
from enum import Enum

import ahl

GROUPS = {
    "Detector": ("AHL", "RunSettings", "Prediction", "open_scorer", "Scorer", "evaluate"),
    "Data": (
        *("open_dataset", "dataset_of_paths", "dataset_of_table", "with_parts", "draw_split"),
        *("Dataset", "TrainingSplit", "Sample", "Kind"),
    ),
    "Settings": ("Config", "preset", "PACKAGED", "settle_process"),
    "Extension points": (
        *("Backbone", "PseudoAnomalyGenerator", "default_generators", "BaseDetector"),
        *("deviation_loss", "Method", "DetectorMethod", "Problem", "DatasetReader"),
    ),
    "Progress and logs": ("Callback", "Broadcast", "JsonLinesLog", "TensorBoardLog", "MLflowLog"),
    "Benchmark": (
        *("Benchmark", "BenchmarkDataset", "run_benchmark", "write_benchmark_report"),
        *("READERS", "find_reader", "pooled_features"),
    ),
    "Advice": ("advise", "sections"),
    "Errors": tuple(name for name in ahl.__all__ if name.endswith("Error")),
}

CONSTANTS = {
    "PACKAGED": "Backbones whose weights are Python packages, by name.",
    "READERS": "Readers of the nine benchmark datasets.",
}
"""The values that are no classes or functions, and so have no docstring of their own."""


def first_line(thing: object) -> str:
    """What it is, in one line."""
    text = inspect.getdoc(thing) or ""
    return re.split(r"\n\n|\n(?=Args:)", text)[0].replace("\n", " ").strip()


def signature(name: str, thing: object) -> str:
    """The name with its parameters' names."""
    if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, (Exception, Enum))):
        return name
    parameters = inspect.signature(thing).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    names = [p.name for p in parameters if p.name != "self" and p.kind not in variadic]
    return f"{name}({', '.join(names)})"


def item(depth: int, name: str, thing: object) -> list[str]:
    """One entry of a list, wrapped at 100 columns."""
    text = f"{'  ' * depth}- `{signature(name, thing)}`: {CONSTANTS.get(name) or first_line(thing)}"
    return textwrap.wrap(text, 100, subsequent_indent="  " * (depth + 1), break_long_words=False)


def lines() -> list[str]:
    """The page."""
    page = ["# API", "", "All that `ahl` exports; `help(ahl.AHL)` and its like say the rest.", ""]
    for group, names in GROUPS.items():
        page += [f"## {group}", ""]
        for name in names:
            thing = getattr(ahl, name)
            page += item(0, name, thing)
            if name == "AHL":
                for method, own in inspect.getmembers(thing, inspect.isroutine):
                    ours = (getattr(own, "__module__", None) or "").startswith("ahl.")
                    if ours and not method.startswith("_"):
                        page += item(1, f".{method}", own)
        page += [""]
    left = set(ahl.__all__) - {name for names in GROUPS.values() for name in names}
    assert left == {"__version__"}, f"in no group: {left}"
    return page


if __name__ == "__main__":
    print("\n".join(lines()).rstrip())
