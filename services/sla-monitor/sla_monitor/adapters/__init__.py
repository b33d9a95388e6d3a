"""What reaches the world: HTTP, recorded topics."""
