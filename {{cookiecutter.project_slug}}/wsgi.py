"""The application, for `flask` and for WSGI servers: `flask run`, `gunicorn wsgi:app`."""

from schema_guard import model_errors

with model_errors():  # what is wrong with a model is one message
    from app import create_app

    app = create_app()
