from __future__ import annotations

from hub.common.api.routers import router
from hub.federations.api import agreements, invitations, proposals, views

own = router()
own.register("federations", views.FederationViewSet, basename="federation")
own.register(
    "federations/<uuid:federation_id>/participations", views.PlaceViewSet, basename="place"
)
own.register(
    "federations/<uuid:federation_id>/invitations", invitations.OfferViewSet, basename="offer"
)
own.register(
    "participations/<uuid:participation_id>/declarations",
    views.DeclarationViewSet,
    basename="declaration",
)
own.register(
    "federations/<uuid:federation_id>/charters", agreements.CharterViewSet, basename="charter"
)
own.register(
    "federations/<uuid:federation_id>/signatures",
    agreements.SignatureViewSet,
    basename="signature",
)
own.register("proposals", proposals.ProposalViewSet, basename="proposal")
own.register("participations", views.ParticipationViewSet, basename="participation")

urlpatterns = own.urls
