"""Errors, what the guards keep in the database, the terminal. Imports no other room."""
