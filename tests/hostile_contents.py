"""What may be wrong in a model file whose checksum fits: changes of its header and tensors."""

from dataclasses import asdict

import numpy as np
import torch

from ahl.model.decision import decide


def decided(header, **change) -> None:
    """Give the model a threshold with other values."""
    header["decision"] = asdict(decide(np.arange(99.0), 0.05)) | change


def losses(header, epoch: int) -> list[list[float]]:
    record = header["history"][epoch]
    return [record[name] for name in ("support_losses", "query_losses", "importance")]


HOSTILE = {
    "unknown detector": lambda h, t: h.update(base="os.system"),
    "unknown backbone": lambda h, t: h["backbone"].update(kind="evil"),
    "no backbone tensors": lambda h, t: [t.pop(k) for k in list(t) if k.startswith("backbone/")],
    "other backbone tensors": lambda h, t: t.update({"backbone/filters": torch.zeros(1)}),
    "huge heads": lambda h, t: h["config"]["heads"].update(holistic_hidden=10**12),
    "wrong type": lambda h, t: h["config"]["heads"].update(margin="five"),
    "unknown field": lambda h, t: h["config"]["heads"].update(evil=1),
    "missing section": lambda h, t: h["config"].pop("learning"),
    "config is a list": lambda h, t: h.update(config=[]),
    "no prior": lambda h, t: h.pop("prior"),
    "prior of three": lambda h, t: h.update(prior=[1, 2, 3]),
    "wrong head shape": lambda h, t: t.update({"heads/seen.weight": torch.zeros(3)}),
    "head missing": lambda h, t: t.pop("heads/seen.weight"),
    "wrong dtype": lambda h, t: t.update({"heads/seen.weight": t["heads/seen.weight"].long()}),
    "reference missing": lambda h, t: t.pop("reference/0"),
    "reference not a map": lambda h, t: t.update({"reference/0": torch.zeros(3)}),
    "memory missing": lambda h, t: [t.pop(k) for k in list(t) if k.startswith("memory/")],
    "memory of other features": lambda h, t: t.update({"memory/0": torch.zeros(5, 3).half()}),
    "memory not halves": lambda h, t: t.update({"memory/0": t["memory/0"].float()}),
    "memory without patches": lambda h, t: t.update({"memory/0": t["memory/0"][:0]}),
    "memory without form": lambda h, t: t.update({"memory/0": torch.zeros(()).half()}),
    "reduction to other features": lambda h, t: t.update(
        {"reduction/components": t["reduction/components"][:, :-1]}
    ),
    "reduction not halves": lambda h, t: t.update(
        {"reduction/components": t["reduction/components"].float()}
    ),
    "reduction of nonsense": lambda h, t: (
        t.update({"reduction/evil": torch.zeros(1)}) or t.pop("reduction/components")
    ),
    "memory without spread": lambda h, t: h["memory"].update(spreads=[0.0, 0.0]),
    "memory without weight": lambda h, t: h["memory"].update(weight=0.0),
    "memory of one scale": lambda h, t: h["memory"].update(means=[1.0]),
    "memory of nonsense": lambda h, t: h.update(memory="much"),
    "calibration missing": lambda h, t: h.pop("calibration"),
    "calibration of other heads": lambda h, t: h["calibration"].update(names=["a"]),
    "calibration without spread": lambda h, t: h["calibration"].update(stretches=[0.0] * 5),
    "calibration beyond numbers": lambda h, t: h["calibration"]["means"].insert(0, 10**400),
    "prior beyond numbers": lambda h, t: h.update(prior=[10**400, 1.0]),
    "prior without spread": lambda h, t: h.update(prior=[0.0, 0.0]),
    "factor beyond numbers": lambda h, t: h.update(feature_factor=10**400),
    "weights that are no numbers": lambda h, t: t["heads/seen.weight"].fill_(float("nan")),
    "reference without numbers": lambda h, t: t["reference/0"].fill_(float("inf")),
    "decision of nonsense": lambda h, t: h.update(decision="much"),
    "calibration of nonsense": lambda h, t: h.update(calibration="much"),
    "manifest of strings": lambda h, t: h["manifest"].update(files=["a"]),
    "records of nonsense": lambda h, t: h.update(history=[{"epoch": "x"}]),
    "exemplars missing": lambda h, t: h.pop("exemplars"),
    "exemplars of nonsense": lambda h, t: h.update(exemplars=["a"]),
    "exemplar in another role": lambda h, t: h["exemplars"][0].update(role="king"),
    "exemplar in a list's role": lambda h, t: h["exemplars"][0].update(role=[]),
    "exemplar without a name": lambda h, t: h["exemplars"][0].update(name=None),
    "an exemplar too many": lambda h, t: h["exemplars"].append(h["exemplars"][0]),
    "exemplars of other features": lambda h, t: t.update(
        {"exemplars/rows": t["exemplars/rows"][:, :-1]}
    ),
    "exemplars without pixels": lambda h, t: t.update(
        {"exemplars/pictures": t["exemplars/pictures"].float()}
    ),
    "a picture too few": lambda h, t: t.update({"exemplars/pictures": t["exemplars/pictures"][1:]}),
    "a class that is a list": lambda h, t: h["manifest"]["files"][0].update(class_name=["x"]),
    "a class that is a number": lambda h, t: h["manifest"]["files"][0].update(class_name=3),
    "a hash that is a list": lambda h, t: h["manifest"]["files"][0].update(sha256=["x"]),
    "a file's name that is a number": lambda h, t: h["manifest"]["files"][0].update(name=3),
    "skipped is text": lambda h, t: h["manifest"].update(skipped="a"),
    "skipped below none": lambda h, t: h["manifest"].update(skipped=-1),
    "half a file earlier": lambda h, t: h["manifest"].update(earlier=0.5),
    "drawn is a number": lambda h, t: h["manifest"].update(drawn=5),
    "drawn as nobody does": lambda h, t: h["manifest"].update(drawn="often"),
    "known class is a number": lambda h, t: h["manifest"].update(known_class=5),
    "every false alarm allowed": lambda h, t: decided(h, max_false_alarm_rate=5),
    "no false alarm allowed": lambda h, t: decided(h, max_false_alarm_rate=0),
    "expected rate above 1": lambda h, t: decided(h, expected_false_alarm_rate=1.5),
    "rate below 0": lambda h, t: decided(h, false_alarm_rate_low=-0.5),
    "rate above 1": lambda h, t: decided(h, false_alarm_rate_high=2),
    "threshold of no normals": lambda h, t: decided(h, normals=0),
    "threshold of countless normals": lambda h, t: decided(h, normals=10**400),
    "countless anomalies": lambda h, t: decided(h, anomalies=10**400),
    "perhaps held out": lambda h, t: decided(h, held_out="perhaps"),
    "no importance": lambda h, t: h["history"][0].update(importance=[]),
    "no support losses": lambda h, t: h["history"][0].update(
        support_losses=[], query_losses=[], importance=[]
    ),
    "support losses too few": lambda h, t: h["history"][0]["support_losses"].pop(),
    "query losses too few": lambda h, t: h["history"][0]["query_losses"].pop(),
    "importance too short": lambda h, t: h["history"][0]["importance"].pop(),
    "a model less from an epoch on": lambda h, t: [own.pop() for own in losses(h, 1)],
    "a loss that is no number": lambda h, t: losses(h, 0)[0].__setitem__(0, "nan"),
    "an endless loss": lambda h, t: losses(h, 0)[1].__setitem__(0, "inf"),
    "importance beyond float32": lambda h, t: losses(h, 0)[2].__setitem__(0, 1e308),
    "epoch 0": lambda h, t: h["history"][0].update(epoch=0),
    "epoch beyond numbers": lambda h, t: h["history"][-1].update(epoch=10**400),
    "huge weights": lambda h, t: t["heads/seen.weight"].fill_(3e38),
    "huge statistics": lambda h, t: t["statistics/residual.norm.mean"].fill_(-3e38),
    "negative variance": lambda h, t: t["statistics/residual.norm.var"].fill_(-1.0),
    "huge reference": lambda h, t: t["reference/0"].fill_(3e38),
    "huge prior": lambda h, t: h.update(prior=[1e300, 1.0]),
    "prior of hardly any spread": lambda h, t: h.update(prior=[0.0, 1e-300]),
    "seed below 0": lambda h, t: h.update(seed=-1),
    "seed beyond 32 bits": lambda h, t: h.update(seed=2**32),
    "seed is text": lambda h, t: h.update(seed="7"),
    "backbone is text": lambda h, t: h.update(backbone="resnet18"),
    "timm from a hub": lambda h, t: h.update(
        backbone={
            "kind": "timm",
            "weights_sha256": "",
            "settings": {
                "name": "hf-hub:evil/model",
                "arguments": {},
                "stages": [1],
                "mean": [0, 0, 0],
                "std": [1, 1, 1],
            },
        }
    ),
}
