"""autogenerate."""
