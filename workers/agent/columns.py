"""The columns of the site's data, as each kind of task reads them.

Whatever is wrong is told by counts: never by the name of a column, a text, a label or a path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import DataRefused
from federation.modelling.messages import Examples
from federation.plan import Plan
from federation.plan_tasks import Labelled

if TYPE_CHECKING:
    from agent.datasets import DataSet

Row = Mapping[str, object]
Talk = list[dict[str, str]]

MESSAGE = {"role", "content"}


def main_column(data: DataSet, plan: Plan) -> str:
    """The column without which a row is no example."""
    return str(getattr(data, plan.task.columns[0]))


def examples_of(rows: Sequence[Row], data: DataSet, plan: Plan) -> Examples:
    """What the plan's kind of task reads of these rows. Raises DataRefused."""
    wanted = plan.task.columns
    listed = plan.task.labels if isinstance(plan.task, Labelled) else ()
    return Examples(
        texts=[str(row[data.text]) for row in rows] if "text" in wanted else (),
        labels=_labels(rows, data.label, listed) if "label" in wanted else None,
        prompts=_prompts(rows, data.prompt) if "prompt" in wanted else None,
        messages=_talks(rows, data.messages) if "messages" in wanted else None,
        images=_images(rows, data) if "image" in wanted else None,
    )


def _labels(rows: Sequence[Row], column: str, known: Sequence[str]) -> list[str]:
    missing = sum(row.get(column) is None for row in rows)
    if missing:
        raise DataRefused("labels_missing", f"{missing} of {len(rows)} examples have no label")
    labels = [str(row[column]) for row in rows]
    listed = set(known)
    unknown = sum(label not in listed for label in labels)
    if unknown:
        told = f"{unknown} of {len(rows)} examples have a label the plan does not list"
        raise DataRefused("unknown_label", told)
    return labels


def _prompts(rows: Sequence[Row], column: str) -> list[str] | None:
    if all(row.get(column) is None for row in rows):
        return None
    return [str(row.get(column) or "") for row in rows]


def _talks(rows: Sequence[Row], column: str) -> list[Talk]:
    talks = [talk for row in rows if (talk := talk_of(row[column]))]
    if odd := len(rows) - len(talks):
        told = f"{odd} of {len(rows)} examples are no lists of messages with role and content"
        raise DataRefused("messages_malformed", told)
    return talks


def talk_of(value: object) -> Talk:
    """A conversation, from JSON where a table holds it as text; empty where it is none."""
    try:
        messages = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    if not isinstance(messages, Sequence) or not all(_is_message(each) for each in messages):
        return []
    return [{"role": each["role"], "content": each["content"]} for each in messages]


def _is_message(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and value.keys() >= MESSAGE
        and all(isinstance(value[name], str) for name in MESSAGE)
    )


def _images(rows: Sequence[Row], data: DataSet) -> list[Path]:
    files = [image_of(row[data.image], data) for row in rows]
    missing = sum(not file.is_file() for file in files)
    if missing:
        raise DataRefused("images_missing", f"{missing} of {len(files)} images are not there")
    return files


def image_of(value: object, data: DataSet) -> Path:
    """A file beside the data's own, or anywhere if its path is whole."""
    return data.folder / str(value)
