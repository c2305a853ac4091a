"""Routes for feedback: labels by people, which are kept for an update of the model."""

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
from ahl.apps.serve.answers import BODY, RESPONSES, Answers, Kept
from ahl.apps.serve.bodies import Upload, read_uploads
from ahl.apps.serve.child import LateError
from ahl.apps.serve.worker import Service, Wishes
from ahl.pipeline.feedback.answers import check_kind
from ahl.pipeline.feedback.store import FeedbackFullError, FeedbackStore
from ahl.scoring.artefact import is_exported
from ahl.scoring.prediction import Prediction


def add_feedback_routes(router: APIRouter, service: Service) -> None:
    """Add the routes to a router that asks for the token."""

    @router.post(
        "/v1/feedback",
        response_model=Kept,
        responses=RESPONSES,
        openapi_extra=BODY,
        summary="Label an image",
    )
    async def feedback(
        request: Request,
        label: Annotated[Literal["good", "defect"], Query(description="Label of the image.")],
        kind: Annotated[str, Query(description="Kind of the defect.", max_length=255)] = "missed",
        name: Annotated[str, Query(description="Name of the image.", max_length=255)] = "image",
    ) -> Response:
        """Keep one image with its label, and with the score that the model gives it.

        An earlier label of the same image is replaced.
        """
        store = service.feedback
        if store is None:
            raise RefusedError(
                403,
                "no_feedback",
                "This service keeps no feedback; start it with --feedback-dir FOLDER.",
            )
        try:
            class_name = GOOD if label == "good" else check_kind(kind)
        except ConfigurationError as error:
            raise RefusedError(422, "bad_kind", str(error)) from None
        kept = await _keep(service, store, request, class_name)
        return JSONResponse({**kept, "request_id": request.scope["ahl.request_id"]})

    @router.get(
        "/v1/feedback",
        response_model=Answers,
        responses={status: RESPONSES[status] for status in (401, 403)},
        summary="Count the labelled images",
    )
    async def answers() -> Response:
        """Counts of the images kept, and the command that updates the model by them."""
        if service.feedback is None:
            return JSONResponse({"kept": False})
        return JSONResponse(await asyncio.to_thread(_summary, service, service.feedback))


async def _keep(
    service: Service, store: FeedbackStore, request: Request, class_name: str
) -> dict[str, Any]:
    limits = service.limits
    until = asyncio.get_running_loop().time() + limits.seconds
    with service.admission.request() as place:
        uploads = await read_uploads(request, place, until)
        if len(uploads) != 1:
            raise RefusedError(
                400,
                "one_image",
                f"There are {len(uploads)} images in the request; send one image per label.",
            )
        (upload,) = uploads
        try:
            async with asyncio.timeout_at(until):
                answer = service.worker.submit(upload, Wishes()).answer
                prediction = await asyncio.wrap_future(answer)
        except (TimeoutError, LateError):
            raise out_of_time(limits.seconds) from None
        except ImageError as error:
            raise _unreadable(upload, str(error)) from None
        if prediction.score is None:
            raise _unreadable(upload, prediction.error or "it has no score")
        # In a thread that goes on if the client hangs up: an answer is kept whole or not at all.
        return await asyncio.to_thread(_add, service, store, upload, class_name, prediction)


def _add(
    service: Service, store: FeedbackStore, upload: Upload, class_name: str, prediction: Prediction
) -> dict[str, Any]:
    try:
        answer = store.add(upload.data, upload.name, class_name, prediction, service.card.sha256)
    except FeedbackFullError as error:
        raise RefusedError(507, "feedback_full", str(error)) from None
    except ImageError as error:
        raise _unreadable(upload, str(error)) from None
    except OSError as error:
        what = error.strerror or error
        raise RefusedError(507, "feedback_failed", f"The image was not stored: {what}.") from None
    return {
        "file": answer.file,
        "class": answer.class_name,
        "outcome": answer.outcome,
        "score": answer.score,
        "verdict": answer.verdict,
    }


def _summary(service: Service, store: FeedbackStore) -> dict[str, Any]:
    answers = store.answers()
    outcomes = Counter(answer.outcome for answer in answers)
    model = _updatable(service.settings.model)
    return {
        "kept": True,
        "missed": outcomes["missed"],
        "false_alarms": outcomes["false_alarm"],
        "right": outcomes["right"],
        "teaching": sum(answer.teaches for answer in answers),
        "classes": dict(sorted(Counter(answer.class_name for answer in answers).items())),
        "bytes": store.size(),
        "max_bytes": store.max_bytes,
        "command": shlex.join(["ahl", "update", model, "--feedback", str(store.folder)]),
    }


def _updatable(model: Path) -> str:
    """The model argument of `ahl update`: MODEL for an exported one, which cannot be updated."""
    try:
        return "MODEL" if is_exported(model) else str(model)
    except ModelFileError:  # moved since
        return "MODEL"


def _unreadable(upload: Upload, reason: str) -> RefusedError:
    return RefusedError(422, "unreadable", f"{upload.name}: {reason}.")
