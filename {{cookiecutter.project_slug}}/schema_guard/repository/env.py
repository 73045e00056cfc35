"""How Alembic reaches this service; Flask-Migrate runs this file for its commands.

Settings of Alembic go into `SchemaGuard(...)` in app/extensions.py, as Flask-Migrate documents.
"""

from alembic import context

from schema_guard import env

env.run(context)
