"""The sections of the API's reference, in their order: people first, what only agents say last.

Read by the settings, so nothing is imported here.
"""

from __future__ import annotations

_SECTIONS = {
    "start": "Where things are, and what a plan is made of.",
    "me": "Who asks.",
    "tokens": "What scripts show instead of a password.",
    "organisations": "Those that you act for, and their people.",
    "invitations": "Places that are offered by mail: to you, and by you.",
    "agents": "Their programs, as their people see them.",
    "federations": "Who trains together, under which charter.",
    "participations": "One organisation's place in a federation.",
    "base models": "What federations start from.",
    "base model drafts": "Base models on their way in.",
    "base model files": "The files of those, in parts.",
    "runs": "From a plan to a version, in rounds.",
    "rounds": "One cycle: tasks, updates, a version.",
    "recomputations": "What closed rounds come to when they are computed again.",
    "tasks": "What an agent was asked to do.",
    "updates": "What came back, and the verdict on it.",
    "versions": "What federations have trained.",
    "proposals": "What members decide together: proposals of all kinds, and votes on them.",
    "aliases": "What federations call their versions.",
    "pushes": "Copies of versions on other hubs.",
    "model keys": "What versions are signed with.",
    "evaluations": "What versions achieve, by organisation.",
    "probes": "Examples that all members may read.",
    "probe scores": "What versions achieve on them.",
    "contributions": "What each organisation gave.",
    "credits": "What each organisation got for it.",
    "valuations": "What that was worth.",
    "cases": "Signs that somebody cheats, and what people decided.",
    "notices": "What you were told: what needs you, and news.",
    "notice settings": "How you are told: in the inbox, by mail at once or once a day.",
    "webhooks": "Other systems that an organisation has told.",
    "webhook deliveries": "What they were told, and what became of it.",
    "events": "What happened, in order.",
    "audit": "The whole record, for those who check it; to look up and to take out.",
    "audit signatures": "Who signed which text of a charter.",
    "blobs": "Bytes, by their SHA-256.",
    "agent protocol": "What agents say; every request is signed.",
}
TAGS = [{"name": name, "description": text} for name, text in _SECTIONS.items()]
