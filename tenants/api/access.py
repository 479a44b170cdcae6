"""Who may do what over the management API, and for which tenant."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from kernel.errors import InvalidParameter
from tenants import auditing
from tenants.api.parser import check_storable
from tenants.api.visible_fields import require_visible
from tenants.api_keys.bounds import Rank
from tenants.errors import RoleTooLow
from tenants.models import Membership, Tenant, User
from tenants.roles import find_tenant, membership_of
from tenants.scoping import every_tenant, tenant_scope

Role = Membership.Role
M = TypeVar("M", bound=Model)

LADDER = (Role.VIEWER, Role.DEVELOPER, Role.ADMIN)
"""Each role may do what those before it may."""

WHICH_TENANT = OpenApiParameter(
    "tenant",
    str,
    description="Short name of the tenant that is meant. Needed by operators who write, and by "
    "people with a role in several tenants.",
)


class IsOperator(BasePermission):
    """Operators, who see and change everything."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operator(request)


def is_operator(request: Request) -> bool:
    user = request.user
    return bool(user.is_active and user.is_superuser)


def acting_user(request: Request) -> User:
    """Who asks; a view that calls this is closed to strangers."""
    return cast("User", request.user)


class ApiViewSet(GenericViewSet[M]):
    """What the views of the management API share."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    lookup_value_regex = r"\d+"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        for name, values in request.query_params.lists():
            # A tenant of such a name is not found, as any other that is not there.
            if name != "tenant" and any("\0" in value for value in values):
                raise InvalidParameter("Null characters are not allowed.", param=name)
        auditing.name_actor(acting_user(request))

    def validated(
        self, serializer: type[serializers.BaseSerializer[Any]], *, partial: bool = False
    ) -> dict[str, Any]:
        """The validated body; with `partial`, without the members that it does not have.

        Raises what `config.api.conventions` renders as `invalid_parameter`.
        """
        context = self.get_serializer_context()
        body = serializer(data=self.request.data, context=context, partial=partial)
        require_visible(body)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        # Fields of numbers also take texts, such as "NaN".
        check_storable(data)
        return data

    def show(self, row: M, *, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(row).data, status=code)

    def show_new(self, row: M, **once: str) -> Response:
        """A row that was made, with what is shown this one time."""
        body = {**self.get_serializer(row).data, **once}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class OperatorViewSet(ApiViewSet[M]):
    """What belongs to the operator: the fleet, and tenants as such."""

    permission_classes = (IsOperator,)


class TenantViewSet(ApiViewSet[M]):
    """What belongs to a tenant. Everything that a view does runs inside the fence.

    Operators look at every tenant, or at the one that `?tenant=` names. Everybody else is in one
    of their tenants; another one's objects are not found.
    """

    least_role_to_read: ClassVar[Role] = Role.VIEWER
    least_role_to_write: ClassVar[Role] = Role.DEVELOPER

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as self.fence:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.fence.enter_context(self.scope(request))

    def scope(self, request: Request) -> AbstractContextManager[None]:
        """The fence for whoever asks. Raises NotFound, RoleTooLow or InvalidParameter."""
        slug = request.query_params.get("tenant")
        self.membership: Membership | None = None
        if is_operator(request):
            self.tenant = find_tenant(slug=slug) if slug else None
            return tenant_scope(self.tenant.pk) if self.tenant else every_tenant()
        membership = membership_of(user=acting_user(request), tenant=slug)
        reads = request.method in SAFE_METHODS
        least = self.least_role_to_read if reads else self.least_role_to_write
        if LADDER.index(Role(membership.role)) < LADDER.index(least):
            raise RoleTooLow
        self.membership, self.tenant = membership, membership.tenant
        return tenant_scope(membership.tenant_id)

    @property
    def rank(self) -> Rank:
        """How far the word of whoever asks reaches."""
        if self.membership is None:
            return Rank.OPERATOR
        return Rank.ADMIN if self.membership.role == Role.ADMIN else Rank.DEVELOPER

    def tenant_meant(self) -> Tenant:
        """The tenant that a new row is for. Raises InvalidParameter if nobody said."""
        if self.tenant is None:
            raise InvalidParameter(
                "Say which tenant is meant: add ?tenant=<short name>.", param="tenant"
            )
        return self.tenant


class LimitsViewSet(TenantViewSet[M]):
    """What a tenant may read of itself, and only operators change: its limits."""

    def get_permissions(self) -> list[Any]:
        return [IsAuthenticated() if self.request.method in SAFE_METHODS else IsOperator()]
