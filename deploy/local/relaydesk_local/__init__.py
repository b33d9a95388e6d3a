"""Apache Kafka and PostgreSQL on one machine with nothing but Python there: what `make run` and the tests start."""

from relaydesk_local.errors import BackendError
from relaydesk_local.kafka import LocalKafka
from relaydesk_local.postgres import LocalPostgres

__all__ = ["BackendError", "LocalKafka", "LocalPostgres"]
