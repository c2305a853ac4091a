"""Means over windows as convolutions: ONNX Runtime takes two to ten times as long for pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def pools_as_convolutions(model: Any) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Replace average pooling of windows that all lie inside by convolutions of one weight.

    Args:
        model: changed in place; shapes of what is pooled stand in it, as tracing leaves them.

    Returns:
        the model; results differ by the rounding of one division.
    """
    from onnx import helper, numpy_helper

    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in model.graph.value_info
    }
    weights: dict[str, Any] = {}
    nodes = []
    for node in model.graph.node:
        window = _window(node, shapes.get(node.input[0], [])) if node.input else None
        if window is None:
            nodes.append(node)
            continue
        channels, kernel, strides = window
        name = f"ahl_mean_{channels}_{'_'.join(map(str, kernel))}"
        mean = np.full((channels, 1, *kernel), 1 / math.prod(kernel), np.float32)
        weights[name] = numpy_helper.from_array(mean, name)
        nodes.append(
            helper.make_node(
                "Conv",
                [node.input[0], name],
                list(node.output),
                name=node.name,
                group=channels,
                kernel_shape=kernel,
                strides=strides,
            )
        )
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(weights.values())
    return model


def _window(node: Any, shape: list[int]) -> tuple[int, list[int], list[int]] | None:  # noqa: ANN401
    """Channels, kernel and strides of a pooling whose windows all lie inside; None for others."""
    from onnx import helper

    if node.op_type != "AveragePool" or len(shape) != 4 or 0 in shape[1:]:
        return None
    given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    kernel = list(given["kernel_shape"])
    strides = list(given.get("strides", [1, 1]))
    if any(given.get("pads", [])) or given.get("auto_pad", b"NOTSET") != b"NOTSET":
        return None
    if set(given.get("dilations", [1])) != {1}:
        return None
    beyond = [(size - k) % step for size, k, step in zip(shape[2:], kernel, strides, strict=True)]
    if given.get("ceil_mode", 0) and any(beyond):  # the last windows hold fewer
        return None
    return shape[1], kernel, strides
