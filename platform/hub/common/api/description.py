"""What the API's description says of itself. Read by the settings, so no model is imported here."""

from __future__ import annotations

from hub.common.api.enums import ENUMS
from hub.common.api.tags import TAGS

DESCRIPTION = {
    "TITLE": "Foedus",
    "DESCRIPTION": "Organisations that cannot share data fine-tune a foundation model together.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": ENUMS,
    "SORT_OPERATIONS": True,
    "TAGS": TAGS,
}
