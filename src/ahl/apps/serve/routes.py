"""The addresses of the service."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from ahl._common.errors import ImageError
from ahl.apps.serve.answers import Asked, HeatMapForm, answer_of
from ahl.apps.serve.bodies import read_uploads
from ahl.apps.serve.feedback import add_feedback_routes
from ahl.apps.serve.forms import Upload
from ahl.apps.serve.metrics import CONTENT_TYPE
from ahl.apps.serve.refusals import RefusedError, out_of_time
from ahl.apps.serve.schema import BODY, RESPONSES, Scores, State
from ahl.apps.serve.service import Service

_GONE = 499
"""Status, in logs and metrics only, of requests whose client did not wait."""

_FORMS: dict[str, HeatMapForm] = {"0": "none", "1": "overlay", "overlay": "overlay", "raw": "raw"}


def guarded_routes(service: Service) -> APIRouter:
    """What wants the token, if there is one.

    Args:
        service: that answers.
    """
    # For the description only: `ahl.apps.serve.gate` asks for the token, before anything is read.
    bearer = HTTPBearer(auto_error=False, description="The token of --token-file, if there is one.")
    router = APIRouter(dependencies=[Security(bearer)])

    @router.post(
        "/v1/score",
        response_model=Scores,
        response_model_exclude_none=True,
        responses=RESPONSES,
        openapi_extra=BODY,
        summary="Score images",
    )
    async def score(
        request: Request,
        why: Annotated[bool, Query(description="Say why, and what each image is like.")] = False,
        heat_map: Annotated[
            Literal["0", "1", "overlay", "raw"],
            Query(description="Say where: 1 or overlay draws it over the image; raw: numbers."),
        ] = "0",
        pictures: Annotated[
            bool, Query(description="With why: small pictures of what each image is like.")
        ] = False,
        name: Annotated[
            str, Query(description="Of an image that is sent raw.", max_length=255)
        ] = "image",
    ) -> Response:
        """Score one image, sent as it is, or several, sent as files of a form.

        One that cannot be read among others has an `error` in place of its score.
        """
        asked = Asked(why=why, pictures=pictures, heat_map=_FORMS[heat_map])
        return await _score(service, request, asked)

    @router.get("/v1/model", summary="What is known of the model")
    async def model() -> dict[str, Any]:
        """Which model it is, what it was trained on, its threshold, what its evidence means."""
        return service.card.facts()

    @router.get("/metrics", response_class=Response, summary="Counters for Prometheus")
    async def metrics() -> Response:
        """What is counted, of all processes of the service."""
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, media_type=CONTENT_TYPE)

    add_feedback_routes(router, service)
    return router


def open_routes(service: Service) -> APIRouter:
    """What tells nothing of model or images, for whoever watches over the service.

    Args:
        service: that is asked about.
    """
    router = APIRouter()

    @router.get("/healthz", response_model=State, summary="Does the service live?")
    async def healthz() -> Response:
        """200 while the process answers."""
        return JSONResponse({"status": "alive"})

    @router.get("/readyz", response_model=State, summary="Is the service ready?")
    async def readyz() -> Response:
        """200 while images are scored, 503 when that is over.

        A service that was asked to stop lets nobody connect any more.
        """
        ready = service.ready
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    return router


async def _score(service: Service, request: Request, asked: Asked) -> Response:
    limits, loop = service.limits, asyncio.get_running_loop()
    until = loop.time() + limits.seconds
    with service.admission.request() as place:
        uploads = await read_uploads(request, limits, place, until)
        asked_at, before = loop.time(), service.admission.images
        answering = asyncio.gather(*(_answer(service, upload, asked) for upload in uploads))
        answering.add_done_callback(_note)
        gone = asyncio.ensure_future(_gone(request))
        either: set[asyncio.Future[Any]] = {answering, gone}
        try:
            await asyncio.wait(
                either, timeout=until - loop.time(), return_when=asyncio.FIRST_COMPLETED
            )
            if not answering.done():
                if gone.done():
                    raise RefusedError(_GONE, "gone", "The client did not wait for its answer.")
                service.admission.waited(before, loop.time() - asked_at)
                raise out_of_time(limits.seconds)
            images = answering.result()
            service.admission.waited(before, loop.time() - asked_at)
        finally:
            gone.cancel()
            answering.cancel()
    if all("error" in image for image in images):
        raise RefusedError(
            422, "unreadable", "None of the images could be read.", details={"images": images}
        )
    return JSONResponse({"images": images, "request_id": request.scope["ahl.request_id"]})


async def _answer(service: Service, upload: Upload, asked: Asked) -> dict[str, Any]:
    """What is said of one image."""
    metrics = service.metrics
    waiting = service.worker.submit(upload, asked.wishes)
    try:
        # Whoever cancels this cancels the image's answer as well, if nobody works on it yet.
        prediction = await asyncio.wrap_future(waiting.answer)
    except ImageError as error:
        metrics.images.labels("unreadable").inc()
        return {"name": upload.name, "error": str(error)}
    metrics.images.labels("scored" if prediction.error is None else "unreadable").inc()
    if prediction.verdict is not None:
        metrics.verdicts.labels(prediction.verdict).inc()
    if prediction.probability is not None:
        metrics.probability.observe(prediction.probability)
    told = (upload.name, prediction, waiting.picture, asked, service.card)
    if asked.drawn:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(service.worker.drawing, answer_of, *told)
    return answer_of(*told)


def _note(future: asyncio.Future[Any]) -> None:
    """Take note of how it ended, also where nobody waits for it any more."""
    if not future.cancelled():
        future.exception()


async def _gone(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
