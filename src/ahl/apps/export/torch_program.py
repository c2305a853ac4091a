"""The scoring graph as a program that torch runs without this package."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ahl._common.errors import ConfigurationError, ModelFileError
from ahl._common.files import written_whole
from ahl.apps.export.graph import ScoringGraph
from ahl.apps.export.resizing import other_size, resize_like_pillow
from ahl.scoring.outputs import Outputs
from ahl.scoring.runtime.artefact import Description

DESCRIPTION: Final = "ahl.json"
"""Name of the description among the program's extra files."""


class _AnySize(nn.Module):
    """The graph behind a resize."""

    def __init__(self, graph: ScoringGraph) -> None:
        super().__init__()
        self.scoring = graph

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.scoring(resize_like_pillow(images, self.scoring.image_size))
        return found


def torch_program(graph: ScoringGraph) -> Any:  # noqa: ANN401 - torch.export.ExportedProgram
    """Trace the graph; images (N, H, W, 3) may be of any size.

    Raises:
        ConfigurationError: if the backbone does what cannot be traced.
    """
    example = torch.zeros(2, *other_size(graph.image_size), 3, dtype=torch.uint8)
    dimensions = {
        0: torch.export.Dim("batch"),
        1: torch.export.Dim("height"),
        2: torch.export.Dim("width"),
    }
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(
                _AnySize(graph), (example,), dynamic_shapes=(dimensions,), strict=False
            )
    except Exception as error:  # of many kinds
        raise ConfigurationError(f"This model cannot be traced by torch: {error}") from error
    program.example_inputs = None  # 150,000 zeros that the file need not hold
    return program


def write_program(path: Path, program: Any, description: Description) -> None:  # noqa: ANN401
    """Write the program with its description.

    Raises:
        ModelFileError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, buffer, extra_files={DESCRIPTION: description.text()})
    try:
        with written_whole(path) as temporary:
            temporary.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ModelFileError(f"{path} cannot be written: {error}") from error


def load_program(path: Path) -> Callable[[NDArray[np.uint8]], Outputs]:
    """What computes the outputs of a program that was just written here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    def compute(pixels: NDArray[np.uint8]) -> Outputs:
        with torch.no_grad():
            found = module(torch.from_numpy(pixels))
        return {name: tensor.numpy() for name, tensor in found.items()}

    return compute
