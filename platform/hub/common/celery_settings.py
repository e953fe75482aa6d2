"""How background jobs travel and are worked off. Read by the settings: nothing is imported here.

The visibility timeout is above every time limit; a system check says so.
"""

from __future__ import annotations

from typing import Any

CELERY: dict[str, Any] = {
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {
        "visibility_timeout": 3600,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "task_serializer": "json",
    "accept_content": ["json"],
    "worker_prefetch_multiplier": 1,
    "task_default_queue": "default",
    "task_routes": {
        name: {"queue": name.partition(".")[0]}
        for name in ("compute.*", "interactive.*", "periodic.*", "transfers.*")
    },
    "task_time_limit": 1800,
    "task_soft_time_limit": 1740,
    "worker_hijack_root_logger": False,
    "worker_cancel_long_running_tasks_on_connection_loss": True,
    "timezone": "UTC",
}
