"""Error pages, in HTML or JSON as the client accepts."""

from flask import Flask, json, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response


def register(app: Flask) -> None:
    """Answer every HTTP error, an unexpected exception's 500 included, with `error_page`."""
    app.register_error_handler(HTTPException, error_page)


def error_page(error: HTTPException) -> Response:
    """Return the error with its status and headers, and a body that the client can read."""
    response = error.get_response()
    accepts = request.accept_mimetypes
    if accepts["application/json"] > accepts["text/html"]:
        response.set_data(json.dumps({"error": error.name, "description": error.description}))
        response.content_type = "application/json"
    else:
        response.set_data(render_template("error.html", error=error))
    return response
