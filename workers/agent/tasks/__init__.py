"""What an agent can do, by the names that the hub's tasks bear."""

from agent.tasks import evaluate, train, value
from agent.tasks.base import Delivery, TaskKind, Work, task_types

__all__ = ["Delivery", "TaskKind", "Work", "evaluate", "task_types", "train", "value"]
