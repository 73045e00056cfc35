[alembic]
script_location = %(here)s
path_separator = os
# For `alembic -c migrations/alembic.ini`; `flask db` has it on its path.
prepend_sys_path = %(here)s/..

# Revisions sort by date in a listing; their identifier and message make the rest of the name.
file_template = %%(year)d%%(month).2d%%(day).2d%%(hour).2d%%(minute).2d%%(second).2d_%%(rev)s_%%(slug)s

[post_write_hooks]
# A new revision is formatted before it is reviewed; schema_guard calls ruff where it is installed.
hooks = ruff
ruff.type = ruff
