"""Runs Relaydesk on one machine: local Kafka and PostgreSQL, and the replay."""
