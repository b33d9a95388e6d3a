"""Where intake meets the world: HTTP, secrets, the edge's producer."""
