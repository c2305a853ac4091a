"""The addresses of a review: labels of people are kept for a correction of the model."""

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
from ahl.apps.serve.admission import RefusedError, out_of_time
from ahl.apps.serve.answers import BODY, RESPONSES, Kept, Marks
from ahl.apps.serve.bodies import Upload, read_uploads
from ahl.apps.serve.service import Service
from ahl.apps.serve.worker import Wishes
from ahl.pipeline.feedback.marks import check_kind
from ahl.pipeline.feedback.store import ReviewFullError, ReviewStore
from ahl.scoring.artefact import is_exported
from ahl.scoring.prediction import Prediction


def add_feedback_routes(router: APIRouter, service: Service) -> None:
    """Add the routes to a router that asks for the token."""

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
        """Keep one image with its label, and with the score that the model gives it.

        An earlier label of the same image is replaced.
        """
        store = service.reviews
        if store is None:
            raise RefusedError(
                403, "no_review", "This service keeps no marks; start it with --review-dir FOLDER."
            )
        try:
            class_name = GOOD if label == "good" else check_kind(kind)
        except ConfigurationError as error:
            raise RefusedError(422, "bad_kind", str(error)) from None
        told = await _keep(service, store, request, class_name)
        return JSONResponse({**told, "request_id": request.scope["ahl.request_id"]})

    @router.get(
        "/v1/feedback",
        response_model=Marks,
        responses={status: RESPONSES[status] for status in (401, 403)},
        summary="What is kept of the review",
    )
    async def marks() -> Response:
        """How many images are kept, of which kinds, and the command that updates the model."""
        if service.reviews is None:
            return JSONResponse({"kept": False})
        return JSONResponse(await asyncio.to_thread(_told, service, service.reviews))


async def _keep(
    service: Service, store: ReviewStore, request: Request, class_name: str
) -> dict[str, Any]:
    limits = service.limits
    until = asyncio.get_running_loop().time() + limits.seconds
    with service.admission.request() as place:
        uploads = await read_uploads(request, place, until)
        if len(uploads) != 1:
            raise RefusedError(
                400,
                "one_image",
                f"There are {len(uploads)} images in the request; send one with its mark.",
            )
        (upload,) = uploads
        try:
            async with asyncio.timeout_at(until):
                answer = service.worker.submit(upload, Wishes()).answer
                prediction = await asyncio.wrap_future(answer)
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
        raise RefusedError(507, "review_full", str(error)) from None
    except ImageError as error:
        raise _unreadable(upload, str(error)) from None
    except OSError as error:
        what = error.strerror or error
        raise RefusedError(507, "review_failed", f"The mark was not kept: {what}.") from None
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
    model = _updatable(service.settings.model)
    return {
        "kept": True,
        "missed": outcomes["missed"],
        "false_alarms": outcomes["false_alarm"],
        "right": outcomes["right"],
        "classes": dict(sorted(Counter(mark.class_name for mark in marks).items())),
        "bytes": store.size(),
        "max_bytes": store.max_bytes,
        "command": shlex.join(["ahl", "update", model, "--review", str(store.folder)]),
    }


def _updatable(model: Path) -> str:
    """The argument for `ahl update`: an exported model cannot be updated itself."""
    try:
        return "MODEL" if is_exported(model) else str(model)
    except ModelFileError:  # moved since
        return "MODEL"


def _unreadable(upload: Upload, reason: str) -> RefusedError:
    return RefusedError(422, "unreadable", f"{upload.name}: {reason}.")
