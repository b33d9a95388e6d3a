"""Who of a group runs which task."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

__all__ = ["RangePartitionAssignor", "SingleTaskAssignor"]

_STARTED = time.time_ns()


class SingleTaskAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """All partitions to the member that was started first; the others stand by, and the next oldest follows it.

    Seniority rather than the member's id, so that a newcomer does not take the task from who holds it.
    """

    name = "relaydesk-single-task"
    version = 0

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """`AbstractPartitionAssignor.assign`."""
        eldest = min(members, key=lambda member: (members[member].user_data, member))
        everything = [
            (topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in sorted(members[eldest].subscription)
        ]
        return {
            member: ConsumerProtocolMemberAssignment(cls.version, everything if member == eldest else [], b"")
            for member in members
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """`AbstractPartitionAssignor.metadata`: with the instant that this process started at, big-endian."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), _STARTED.to_bytes(8, "big"))

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """`AbstractPartitionAssignor.on_assignment`: nothing to remember."""
