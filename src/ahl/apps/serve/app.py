"""The service as an ASGI application: any ASGI server can run it."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from ahl._common.version import __version__
from ahl.apps.serve.admission import RefusedError
from ahl.apps.serve.gate import STATIC, Gate
from ahl.apps.serve.routes import guarded_routes, open_routes
from ahl.apps.serve.service import Service
from ahl.apps.serve.settings import Settings
from ahl.scoring.scorer import Scorer


def create_app(scorers: Sequence[Scorer], settings: Settings) -> FastAPI:
    """Put a model behind HTTP.

    Args:
        scorers: of one model, that score at a time; used by the application alone, each from one
            thread.
        settings: of the service.

    Returns:
        the application. When it shuts down it answers what it accepted.
    """
    service = Service(scorers, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.worker.stop)

    app = FastAPI(
        title="ahl",
        version=__version__,
        description="Scores images with one trained model; higher = more anomalous.",
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
    """Add the pages for people: files of this package, and nothing from anywhere else."""
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
    message = f"{error.detail}; /docs lists all addresses."
    raise RefusedError(error.status_code, code, message, headers=error.headers)
