"""Forms of DDL that block neither reads nor writes, and how operations are rendered."""
