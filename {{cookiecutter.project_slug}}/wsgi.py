"""The application object that flask, gunicorn and other WSGI servers find."""

from app import create_app

app = create_app()
