"""Running revisions: one at a time, bounded waits, all or nothing or resumable, recorded."""
