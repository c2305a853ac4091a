"""The service as an ASGI application: any ASGI server can run it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from ahl._common.version import __version__
from ahl.apps.serve.gate import Gate
from ahl.apps.serve.refusals import RefusedError
from ahl.apps.serve.routes import guarded_routes, open_routes
from ahl.apps.serve.service import Service
from ahl.apps.serve.settings import Settings
from ahl.apps.serve.static_files import page_routes
from ahl.scoring.scorer import Scorer

_OPENAPI = "/openapi.json"


def create_app(scorers: Sequence[Scorer], settings: Settings) -> FastAPI:
    """Put a model behind HTTP.

    Args:
        scorers: of one model, that score at a time; used by the application alone, each from one
            thread.
        settings: who may ask, and how much.

    Returns:
        the application. When it shuts down it answers what it accepted.
    """
    service = Service(scorers, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="ahl",
        version=__version__,
        description="Scores images with one trained model; higher = more anomalous.",
        openapi_url=_OPENAPI,
        docs_url=None,  # FastAPI's own pages load their code from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # they would repeat the Host that a client made up
    )
    guarded, unguarded = guarded_routes(service), (open_routes(service), page_routes())
    for router in (guarded, *unguarded):
        app.include_router(router)
    known = [route.path for route in guarded.routes if isinstance(route, APIRoute)]
    free = [r.path for router in unguarded for r in router.routes if isinstance(r, APIRoute)]
    free.append(_OPENAPI)
    app.add_middleware(Gate, service=service, routes=[*known, *free], unguarded=free)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    return app


async def _on_bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    words = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
    raise RefusedError(422, "bad_parameter", words)  # to the gate, which counts and answers


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "bad_method"}.get(error.status_code, "refused")
    message = f"{error.detail}; /docs tells what there is."
    raise RefusedError(error.status_code, code, message, headers=dict(error.headers or {}))
