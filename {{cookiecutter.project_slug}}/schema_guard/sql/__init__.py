"""SQL text taken apart, and read as operations."""
