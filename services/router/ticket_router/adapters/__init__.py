"""Where the router's commands read from and what they draw on."""
