from __future__ import annotations

from django.urls import path

from hub.federations import invitation_pages, pages
from hub.federations.charters import directory, wizard
from hub.federations.charters import pages as agreements
from hub.federations.proposals import pages as votes

app_name = "federations"

urlpatterns = [
    path("federations/", directory.federations, name="list"),
    path("federations/new", wizard.new, name="new"),
    path("federations/new/<slug:step>", wizard.new, name="new"),
    path("federations/<slug:slug>", pages.federation, name="detail"),
    path("federations/<slug:slug>/join", agreements.join, name="join"),
    path("federations/<slug:slug>/members", agreements.members, name="members"),
    path("federations/<slug:slug>/charter", agreements.charter, name="charter"),
    path("federations/<slug:slug>/policy", agreements.policy, name="policy"),
    path("participations/<uuid:participation_id>/sign", agreements.sign, name="sign"),
    path("federations/<slug:slug>/invitations", invitation_pages.invitations, name="invitations"),
    path("federations/<slug:slug>/description", pages.describe, name="describe"),
    path("federations/<slug:slug>/proposals", votes.proposals, name="proposals"),
    path("federations/<slug:slug>/proposals/new", votes.propose, name="propose"),
    path("proposals/<uuid:pk>", votes.proposal, name="proposal"),
    path("proposals/<uuid:pk>/vote", votes.vote, name="vote"),
    path("proposals/<uuid:pk>/withdraw", votes.withdraw, name="withdraw"),
    path("participations/<uuid:participation_id>/statement", pages.statement, name="statement"),
    path("participations/<uuid:participation_id>/declaration", pages.declare, name="declare"),
    path("participations/<uuid:participation_id>/approve", pages.approve, name="approve"),
    path("participations/<uuid:participation_id>/refuse", pages.refuse, name="refuse"),
    path("participations/<uuid:participation_id>/leave", pages.leave, name="leave"),
    path("participations/<uuid:participation_id>/stay", pages.stay, name="stay"),
    path("participations/<uuid:participation_id>/rank", pages.rank, name="rank"),
]
