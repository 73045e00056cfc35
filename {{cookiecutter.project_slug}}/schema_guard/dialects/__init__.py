"""What differs between servers: products, versions, and why one cannot be used."""
