"""Ten thousand malformed requests and files: no crash, no status 500, no hang.

    python benchmarks/reliability/malformed.py
    python benchmarks/reliability/malformed.py --images 500 --models 0 --requests 0

Files are damaged images of every format and damaged or hostile models of every kind, read in a
child process. Requests go to a running service: made by schemathesis (pip install schemathesis)
from its own OpenAPI description, made by hand, and with damaged images in them. The exit status is
1 if anything crashed, hung or failed without a clear refusal.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common import export, tell, train
from hostile_requests import requests
from parsing import open_model, parse_all, read_image

from mutants import image_mutants, model_mutants


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--requests", type=int, default=2000, help="by hand, and by schemathesis")
    parser.add_argument("--slow", type=int, default=20, help="connections that dribble")
    parser.add_argument("--model", type=Path, nargs="+", help="instead of small ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    figures: dict[str, object] = {}
    faults: list[str] = []
    total = 0
    with tempfile.TemporaryDirectory() as name:
        folder, models = Path(name), options.model
        if models is None:
            model = train(folder)
            models = [model, export(model)]
        mutants = model_mutants(models, options.models, draw, folder)
        for what, take, files, count in (
            ("image", read_image, image_mutants(options.images, draw), options.images),
            ("model", open_model, mutants, options.models),
        ):
            if count:
                told, wrong = parse_all(files, take)
                figures[what] = dict(sorted(told.items()))
                faults += wrong
                total += count
        if options.requests:
            onnx = next((one for one in models if one.suffix == ".onnx"), models[0])
            counted, wrong = requests(onnx, options.requests, options.slow, draw)
            figures["request"] = {k: dict(sorted(v.items())) for k, v in counted.items()}
            faults += wrong
            total += sum(sum(one.values()) for one in counted.values())
    short = Counter(faults)
    return tell({"total": total, **figures}, [f"{n} x {what}" for what, n in short.most_common(40)])


if __name__ == "__main__":
    sys.exit(main())
