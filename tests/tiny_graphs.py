"""Artefacts whose graphs are a few operators: mean brightness as every number, no torch."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ahl.evidence.probability import Probability
from ahl.model.card import ModelCard, Shown
from ahl.model.decision import decide
from ahl.scoring.artefact import Description, write_artefact
from ahl.scoring.scorer import (
    ANOMALY,
    ANOMALY_DISTANCE,
    ANOMALY_LIKE,
    ANOMALY_PLACE,
    EVIDENCE,
    HEADS,
    HEAT_MAP,
    NORMAL,
    NORMAL_DISTANCE,
    SCORE,
)

SIDE = 8

WIDTHS = {HEADS: 2, EVIDENCE: 3, ANOMALY_PLACE: 2, ANOMALY_LIKE: 2}
NUMBERS = (SCORE, NORMAL_DISTANCE, ANOMALY_DISTANCE)
INDICES = {NORMAL: 1, ANOMALY: 0}
OUTPUTS = (*NUMBERS, *WIDTHS, *INDICES, HEAT_MAP)


def card(**change) -> ModelCard:
    picture = np.full((4, 4, 3), 90, np.uint8)
    values = {
        "version": "0.0",
        "sha256": "0" * 64,
        "base": "dra",
        "backbone": "none",
        "image_size": (SIDE, SIDE),
        "heads": ("seen", "residual"),
        "evidence": ("seen", "residual", "memory"),
        "meanings": {"seen": "like a defect"},
        "decision": decide(np.arange(99.0), 0.05),
        "probability": Probability(midpoint=50.0, slope=0.1),
        "colour_bounds": (0.5, 1.5),
        "classes": ("dot",),
        "normals": 2,
        "anomalies": 1,
        "shown_normals": tuple(
            Shown(name=name, class_name="good", picture=picture) for name in ("a.png", "b.png")
        ),
        "shown_anomalies": (Shown(name="c.png", class_name="dot", picture=None),),
    }
    return ModelCard(**values | change)


def description(**change) -> Description:
    return Description(card=card(**change), precision="fp32", parity={"images": 0})


class Drawing:
    """Nodes of a graph, one after the other."""

    def __init__(self) -> None:
        self.nodes, self.constants = [], []

    def constant(self, values) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind, *inputs, name=None, **attributes) -> str:
        name = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def graph(*, without=(), widths=WIDTHS, indices=INDICES, number=1.0, by_image=0.0, side=0) -> bytes:
    """An ONNX model of all outputs but some; each hook is one way to be wrong.

    Args:
        without: outputs it lacks.
        widths: of the outputs that are vectors.
        indices: which shown image each names.
        number: times the mean brightness is each number.
        by_image: times the mean brightness is added to the indices.
        side: of the heat map; 0 is the image's own.
    """
    draw = Drawing()
    pixels = draw.node("Cast", "images", to=TensorProto.FLOAT)
    mean = draw.node("ReduceMean", pixels, draw.constant(np.array([1, 2, 3])), keepdims=0)
    value = draw.node("Mul", mean, draw.constant(np.float32(number)))
    column = draw.node("Unsqueeze", value, draw.constant(np.array([1])))
    made = []
    for name in OUTPUTS:
        if name in without:
            continue
        if name in widths:
            draw.node("Mul", column, draw.constant(np.ones((1, widths[name]), "f4")), name=name)
            made.append((name, TensorProto.FLOAT, ["n", widths[name]]))
        elif name in indices:
            added = draw.node("Mul", mean, draw.constant(np.float32(by_image)))
            index = draw.node("Add", added, draw.constant(np.float32(indices[name])))
            draw.node("Cast", index, name=name, to=TensorProto.INT64)
            made.append((name, TensorProto.INT64, ["n"]))
        elif name == HEAT_MAP:
            grey = draw.node("ReduceMean", pixels, draw.constant(np.array([3])), keepdims=0)
            starts, ends = (draw.constant(np.array([x, x])) for x in (0, side or 2**31 - 1))
            draw.node("Slice", grey, starts, ends, draw.constant(np.array([1, 2])), name=name)
            made.append((name, TensorProto.FLOAT, ["n", "y", "x"]))
        else:
            draw.node("Identity", value, name=name)
            made.append((name, TensorProto.FLOAT, ["n"]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])
    outputs = [helper.make_tensor_value_info(*one) for one in made]
    drawn = helper.make_graph(draw.nodes, "tiny", [images], outputs, draw.constants)
    return of(drawn)


def of(drawn, described=None) -> bytes:
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(drawn, opset_imports=opsets, ir_version=9)
    if described is not None:
        helper.set_model_props(model, {"ahl": described})
    return model.SerializeToString()


def artefact(path, described=None, **hooks):
    import onnx

    model = onnx.load_from_string(graph(**hooks))
    helper.set_model_props(model, {"ahl": (described or description()).text()})
    write_artefact(path, model.SerializeToString())
    return path
