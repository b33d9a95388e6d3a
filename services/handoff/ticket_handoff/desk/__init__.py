"""The desk page: what agents, duty managers and partners' people see and do in a browser."""
