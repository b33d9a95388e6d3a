"""What crosses a topic: events, topics, ids and the agreement. Nothing here reads a clock, a file or a network."""
