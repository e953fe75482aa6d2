"""What the theme of the operator's console is told."""

from __future__ import annotations

from collections.abc import Mapping

THEME: Mapping[str, object] = {
    "SITE_TITLE": "Foedus console",
    "SITE_HEADER": "Foedus console",
    "SITE_URL": "/",
    "SITE_ICON": "hub.operations.appearance.mark",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "hub.operations.appearance.mark"}
    ],
    "STYLES": ["hub.operations.appearance.stylesheet"],
    "BORDER_RADIUS": "4px",
    "COLORS": {
        "base": "hub.operations.appearance.greys",
        "primary": "hub.operations.appearance.petrol",
    },
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "hub.operations.dashboard.dashboard",
    "SIDEBAR": {"navigation": "hub.operations.appearance.navigation"},
    "ACCOUNT": {"navigation": "hub.operations.appearance.account"},
}
