"""The database as a whole: create, drop, back up, restore."""
