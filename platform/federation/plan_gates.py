"""The plan's gates: what a version has to show before it may be released."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from federation.plan_parts import Part


class Gates(Part):
    """What a version has to show before it may be released. Empty: it is not asked for.

    Where a gate compares, it is with the released version, or with the start of the run while
    nothing is released; on labels by accuracy, else by the mean loss.
    """

    accuracy_at_least: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            strict=False,
            title="Accuracy at least",
            description="Over all test data together; 0.9 is nine of ten.",
        ),
    ] = None
    loss_at_most: Annotated[
        float | None,
        Field(ge=0, strict=False, title="Mean loss at most", description="Over all test data."),
    ] = None
    below_release_at_most: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            strict=False,
            title="Below the release at most",
            description="Over all test data together. 0.01 is one point of accuracy.",
        ),
    ] = None
    organisation_below_release_at_most: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            strict=False,
            title="Any organisation below the release at most",
            description="On the test data of each organisation. 0.02 is two points of accuracy.",
        ),
    ] = None
    tail_recall_at_least: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            strict=False,
            title="Recall of the worst labels at least",
            description="The mean recall of the labels that are recognised least.",
        ),
    ] = None
    tail_labels: Annotated[
        int, Field(ge=1, le=1000, title="How many worst labels", description="At most.")
    ] = 5
    forgotten_at_most: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            strict=False,
            title="Forgotten at most",
            description="By how much the mean loss on the federation's probe set may be above "
            "that of the base model by itself.",
        ),
    ] = None
    doubt: Annotated[
        Literal["measured", "block", "allow"],
        Field(
            title="In doubt",
            description="Where so few examples could say either: what was measured decides, "
            "block the release, or allow it. What was not measured blocks it in any case.",
        ),
    ] = "measured"
    confidence: Annotated[
        float,
        Field(ge=0.5, lt=1, strict=False, title="Confidence of the intervals"),
    ] = 0.95

    @property
    def are_set(self) -> bool:
        """Whether anything is asked for."""
        return any(getattr(self, name) is not None for name in ASKED)

    @property
    def need_labels(self) -> list[str]:
        """Titles of what is asked for and makes sense for labels alone."""
        asked = ("accuracy_at_least", "tail_recall_at_least")
        fields = type(self).model_fields
        return [str(fields[name].title) for name in asked if getattr(self, name) is not None]


ASKED = frozenset(Gates.model_fields) - {"tail_labels", "doubt", "confidence"}
