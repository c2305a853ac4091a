"""The service as an ASGI application with its routes; any ASGI server can run it."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from ahl._common.errors import ImageError
from ahl._common.version import __version__
from ahl.apps.serve.admission import RefusedError, out_of_time
from ahl.apps.serve.answers import BODY, RESPONSES, Scores, answer_of
from ahl.apps.serve.bodies import Upload, read_uploads
from ahl.apps.serve.child import LateError
from ahl.apps.serve.feedback import add_feedback_routes
from ahl.apps.serve.gate import STATIC, Gate
from ahl.apps.serve.metrics import CONTENT_TYPE
from ahl.apps.serve.passes import Pass
from ahl.apps.serve.settings import Settings
from ahl.apps.serve.worker import Service, Wishes


def create_app(passes: Sequence[Pass], settings: Settings) -> FastAPI:
    """Make the application that serves a model over HTTP.

    Args:
        passes: of one model; used by the application alone, each from one thread.
        settings: of the service.

    Returns:
        the application, whose shutdown ends the passes; before it, the server waits for the answers
        to what it accepted.

    Raises:
        ConfigurationError: if the feedback folder cannot be written to.
    """
    service = Service(passes, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.worker.stop)

    app = FastAPI(
        title="ahl",
        version=__version__,
        description="Scores images with one trained model; higher = more anomalous.",
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        docs_url=None,  # FastAPI's own pages load their code from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # they would repeat the Host that a client made up
        exception_handlers={
            RequestValidationError: _on_bad_parameter,
            HTTPException: _on_http_error,
        },
    )
    app.include_router(guarded_routes(service))
    app.include_router(open_routes(service))
    app.add_middleware(Gate, service=service, named=[*app.openapi()["paths"], STATIC])
    _add_pages(app)
    return app


def _add_pages(app: FastAPI) -> None:
    """Add the pages for people, which load files of this package only."""
    mimetypes.add_type("text/javascript", ".js")  # whatever the machine's own table says
    files = StaticFiles(packages=[("ahl.apps.serve", "static")])
    app.mount(STATIC, files)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("page.html", request.scope)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return await files.get_response("docs.html", request.scope)


async def _on_bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    raise RefusedError(422, "bad_parameter", words)  # to the gate, which counts and answers


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "bad_method"}.get(error.status_code, "refused")
    message = f"{error.detail}; /docs lists all endpoints."
    raise RefusedError(error.status_code, code, message, headers=error.headers)


_GONE = 499
"""Status, in logs and metrics only, of requests whose client did not wait."""


def guarded_routes(service: Service) -> APIRouter:
    """Routes that need the token, if there is one."""
    # For the description only: `ahl.apps.serve.gate` asks for the token, before anything is read.
    bearer = HTTPBearer(
        auto_error=False,
        description="Token from --token-file; needed if the service was started with one.",
    )
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
        why: Annotated[
            bool, Query(description="Add the reasons and the most similar training images.")
        ] = False,
        heat_map: Annotated[
            Literal["0", "1", "overlay", "raw"],
            Query(
                description="Add a heat map, drawn over the image (1, overlay) or as numbers (raw)."
            ),
        ] = "0",
        pictures: Annotated[
            bool,
            Query(description="With why: add small pictures of the most similar training images."),
        ] = False,
        name: Annotated[
            str,
            Query(description="Name of an image that is sent as the body itself.", max_length=255),
        ] = "image",
    ) -> Response:
        """Score one image, sent as the body itself, or several, sent as files of a form.

        Among several, an unreadable image has an `error` instead of a score.
        """
        wishes = Wishes(why=why, pictures=pictures, heat_map=heat_map)
        return await _score(service, request, wishes)

    @router.get("/v1/model", summary="Describe the model")
    async def model() -> dict[str, Any]:
        """The model's hash, backbone, training classes, threshold, and its evidence's meaning."""
        return service.card.facts()

    @router.get("/metrics", response_class=Response, summary="Metrics in Prometheus' format")
    async def metrics() -> Response:
        """Counters of all processes of the service."""
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, media_type=CONTENT_TYPE)

    add_feedback_routes(router, service)
    return router


def open_routes(service: Service) -> APIRouter:
    """Health routes, without a token: they reveal nothing about model or images."""
    router = APIRouter()

    @router.get("/healthz", summary="Check that the process answers")
    async def healthz() -> dict[str, str]:
        """200 while the process answers."""
        return {"status": "alive"}

    @router.get("/readyz", summary="Check that images can be scored")
    async def readyz(response: Response) -> dict[str, str]:
        """200 while images can be scored, otherwise 503.

        It is not ready while the model is being opened again, or if every pass has taken longer
        than half of a request's time. A service that is stopping accepts no connections.
        """
        if service.worker.ready:
            return {"status": "ready"}
        response.status_code = 503
        return {"status": "not ready"}

    return router


async def _score(service: Service, request: Request, wishes: Wishes) -> Response:
    limits, loop = service.limits, asyncio.get_running_loop()
    until = loop.time() + limits.seconds
    with service.admission.request() as place:
        uploads = await read_uploads(request, place, until)
        started, waiting = loop.time(), service.admission.images
        answering = asyncio.gather(*(_answer(service, upload, wishes) for upload in uploads))
        gone = asyncio.ensure_future(_gone(request))
        gone.add_done_callback(lambda _: answering.cancel())
        try:
            async with asyncio.timeout_at(until):
                images = await answering
        except (TimeoutError, LateError):
            service.admission.waited(waiting, loop.time() - started)
            raise out_of_time(limits.seconds) from None
        except asyncio.CancelledError:
            if not gone.done():
                raise
            raise RefusedError(_GONE, "gone", "The client did not wait for its answer.") from None
        finally:
            gone.cancel()
        service.admission.waited(waiting, loop.time() - started)
    if all("error" in image for image in images):
        raise RefusedError(
            422, "unreadable", "None of the images could be read.", details={"images": images}
        )
    return JSONResponse({"images": images, "request_id": request.scope["ahl.request_id"]})


async def _answer(service: Service, upload: Upload, wishes: Wishes) -> dict[str, Any]:
    """Score one image, count it, and return its answer."""
    metrics = service.metrics
    waiting = service.worker.submit(upload, wishes)
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
    parts = (upload.name, prediction, waiting.picture, wishes, service.card)
    if wishes.heat_maps or wishes.pictures:  # drawing takes long enough for another thread
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(service.worker.drawing, answer_of, *parts)
    return answer_of(*parts)


async def _gone(request: Request) -> None:
    """Return when the client has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
