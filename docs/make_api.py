"""Prints docs/api.md: every public name, its parameters and what it is, from `ahl.__all__`."""

import inspect
import re
import textwrap

import ahl

GROUPS = {
    "Detector": ("AHL", "RunSettings", "Prediction", "open_scorer", "Scorer", "evaluate"),
    "Data": ("open_dataset", "draw_split", "Dataset", "TrainingSplit", "Sample", "Kind"),
    "Settings": ("Config", "preset", "PACKAGED"),
    "Extension points": (
        *("Backbone", "PseudoAnomalyGenerator", "default_generators", "BaseDetector"),
        *("deviation_loss", "Method", "Problem", "DatasetReader"),
    ),
    "Progress and logs": ("Callback", "Broadcast", "JsonLinesLog", "TensorBoardLog", "MLflowLog"),
    "Benchmark": (
        *("Benchmark", "BenchmarkDataset", "run_benchmark", "write_benchmark_report"),
        *("READERS", "find_reader", "pooled_features"),
    ),
    "Advice": ("advise", "sections"),
    "Errors": tuple(name for name in ahl.__all__ if name.endswith("Error")),
}


def first_line(thing: object) -> str:
    """What it is, in one line."""
    text = inspect.getdoc(thing) or ""
    return re.split(r"\n\n|\n(?=Args:)", text)[0].replace("\n", " ").strip()


def signature(name: str, thing: object) -> str:
    """The name with its parameters' names."""
    if not callable(thing) or (inspect.isclass(thing) and issubclass(thing, Exception)):
        return name
    try:
        parameters = [p for p in inspect.signature(thing).parameters if p != "self"]
    except ValueError:
        return name
    return f"{name}({', '.join(parameters)})"


def item(depth: int, name: str, thing: object) -> list[str]:
    """One entry of a list, wrapped at 100 columns."""
    told = first_line(thing) if callable(thing) else "see `help` of its module."
    text = f"{'  ' * depth}- `{signature(name, thing)}`: {told}"
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
