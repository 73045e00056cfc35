"""online_ddl."""
