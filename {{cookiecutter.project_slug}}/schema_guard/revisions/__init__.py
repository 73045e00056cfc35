"""The files of revisions: reading them, comparing them, heads, suppressions."""
