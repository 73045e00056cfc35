"""`flask db migrate`: what changed, what it means, and what is written."""
