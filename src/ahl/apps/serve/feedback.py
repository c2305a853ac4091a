"""What people say of images, kept for a correction of the model."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from ahl._common.errors import ConfigurationError, ImageError, ModelFileError
from ahl._common.types import GOOD
from ahl.apps.serve.batching import Wishes
from ahl.apps.serve.bodies import read_uploads
from ahl.apps.serve.forms import Upload
from ahl.apps.serve.refusals import (
    RefusedError,
    bad_kind,
    keeps_no_marks,
    one_image,
    out_of_time,
    review_failed,
    review_full,
)
from ahl.apps.serve.schema import BODY, RESPONSES, Kept, Marks
from ahl.apps.serve.service import Service
from ahl.pipeline.feedback.marks import check_kind
from ahl.pipeline.feedback.store import ReviewFullError, ReviewStore
from ahl.scoring.artefact import is_exported
from ahl.scoring.prediction import Prediction


def add_feedback_routes(router: APIRouter, service: Service) -> None:
    """Add the addresses of a review, which want the token.

    Args:
        router: that they are added to.
        service: that scores, and keeps the marks if it has a folder for them.
    """

    @router.post(
        "/v1/feedback",
        response_model=Kept,
        responses=RESPONSES,
        openapi_extra=BODY,
        summary="Say what an image is",
    )
    async def feedback(
        request: Request,
        label: Annotated[Literal["good", "defect"], Query(description="What the image is.")],
        kind: Annotated[str, Query(description="Of the defect.", max_length=255)] = "missed",
        name: Annotated[str, Query(description="Of the image.", max_length=255)] = "image",
    ) -> Response:
        """Keep one image with what a person says of it, and with what the model says.

        What was said of the same image before is replaced.
        """
        store = service.reviews
        if store is None:
            raise keeps_no_marks()
        class_name = GOOD
        if label == "defect":
            try:
                class_name = check_kind(kind)
            except ConfigurationError as error:
                raise bad_kind(str(error)) from None
        told = await _keep(service, store, request, class_name)
        return JSONResponse({**told, "request_id": request.scope["ahl.request_id"]})

    @router.get(
        "/v1/feedback",
        response_model=Marks,
        responses={status: RESPONSES[status] for status in (401, 403)},
        summary="What is kept of the review",
    )
    async def marks() -> Response:
        """How many images are kept, of which kinds, and the command that teaches the model."""
        if service.reviews is None:
            return JSONResponse({"kept": False})
        return JSONResponse(await asyncio.to_thread(_told, service, service.reviews))


async def _keep(
    service: Service, store: ReviewStore, request: Request, class_name: str
) -> dict[str, Any]:
    limits, loop = service.limits, asyncio.get_running_loop()
    until = loop.time() + limits.seconds
    with service.admission.request() as place:
        uploads = await read_uploads(request, limits, place, until)
        if len(uploads) != 1:
            raise one_image(len(uploads))
        (upload,) = uploads
        try:
            async with asyncio.timeout_at(until):
                waiting = service.worker.submit(upload, Wishes())
                prediction = await asyncio.wrap_future(waiting.answer)
        except TimeoutError:
            raise out_of_time(limits.seconds) from None
        except ImageError as error:
            raise _unreadable(upload, str(error)) from None
        if prediction.score is None:
            raise _unreadable(upload, prediction.error or "it has no score")
        # In a thread that goes on if the client hangs up: a mark is kept whole or not at all.
        return await asyncio.to_thread(_add, service, store, upload, class_name, prediction)


def _add(
    service: Service, store: ReviewStore, upload: Upload, class_name: str, prediction: Prediction
) -> dict[str, Any]:
    try:
        mark = store.add(upload.data, upload.name, class_name, prediction, service.card.sha256)
    except ReviewFullError as error:
        raise review_full(str(error)) from None
    except ImageError as error:
        raise _unreadable(upload, str(error)) from None
    except OSError as error:
        raise review_failed(error.strerror or str(error)) from None
    return {
        "file": mark.file,
        "class": mark.class_name,
        "outcome": mark.outcome,
        "score": mark.score,
        "verdict": mark.verdict,
    }


def _told(service: Service, store: ReviewStore) -> dict[str, Any]:
    marks = store.marks()
    outcomes = Counter(mark.outcome for mark in marks)
    return {
        "kept": True,
        "missed": outcomes["missed"],
        "false_alarms": outcomes["false_alarm"],
        "right": outcomes["right"],
        "classes": dict(sorted(Counter(mark.class_name for mark in marks).items())),
        "bytes": store.size(),
        "max_bytes": store.max_bytes,
        "command": shlex.join(
            ["ahl", "update", _updatable(service.settings.model), "--review", str(store.folder)]
        ),
    }


def _updatable(model: Path) -> str:
    """What to name to `ahl update`: an exported model cannot be updated itself."""
    try:
        return "MODEL" if is_exported(model) else str(model)
    except ModelFileError:  # moved since
        return "MODEL"


def _unreadable(upload: Upload, reason: str) -> RefusedError:
    return RefusedError(422, "unreadable", f"{upload.name}: {reason}.")
