"""Authorization of the management API: the roles and the tenant of a request."""

from collections.abc import Mapping
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
from tenants.api.renamed_fields import add_deprecation_headers
from tenants.api.visible_fields import require_visible
from tenants.api_keys.bounds import Rank
from tenants.errors import RoleTooLow
from tenants.models import Membership, Tenant, User
from tenants.roles import find_tenant, membership_of
from tenants.scoping import every_tenant, tenant_scope

Role = Membership.Role
M = TypeVar("M", bound=Model)

ROLES_ASCENDING = (Role.VIEWER, Role.DEVELOPER, Role.ADMIN)
"""Roles in ascending order; each has the rights of those before it."""

WHICH_TENANT = OpenApiParameter(
    "tenant",
    str,
    description="Short name of the tenant. Required for operators who write, and for users with "
    "a role in several tenants and without a default.",
)


class IsOperator(BasePermission):
    """Allows operators, who may read and change everything."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operator(request)


def is_operator(request: Request) -> bool:
    user = request.user
    return bool(user.is_active and user.is_superuser)


def acting_user(request: Request) -> User:
    """Return the user of an authenticated request."""
    return cast("User", request.user)


class ApiViewSet(GenericViewSet[M]):
    """Common base of the views of the management API."""

    http_method_names = ["get", "post", "patch", "delete", "head", "options"]
    lookup_value_regex = r"\d+"
    deprecated_fields: Mapping[str, str] = {}
    """Deprecated names in this request, and their new names. A view serves one request."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        for name, values in request.query_params.lists():
            # A tenant with such a name is not found, like any unknown one.
            if name != "tenant" and any("\0" in value for value in values):
                raise InvalidParameter("Null characters are not allowed.", param=name)
        auditing.set_actor(acting_user(request))

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        add_deprecation_headers(response, self.deprecated_fields)
        return response

    def validated(
        self, serializer: type[serializers.BaseSerializer[Any]], *, partial: bool = False
    ) -> dict[str, Any]:
        """Return the validated body; with `partial`, only the fields that were sent.

        Raises errors that are rendered as `invalid_parameter`.
        """
        context = self.get_serializer_context()
        body = serializer(data=self.request.data, context=context, partial=partial)
        require_visible(body)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        # Number fields also accept texts, such as "NaN".
        check_storable(data)
        return data

    def show(self, row: M, *, code: int = status.HTTP_200_OK) -> Response:
        return Response(self.get_serializer(row).data, status=code)

    def show_new(self, row: M, **once: str) -> Response:
        """Return the response with a new row, and with secrets that cannot be read again."""
        body = {**self.get_serializer(row).data, **once}
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class OperatorViewSet(ApiViewSet[M]):
    """A view for operators only, such as of the fleet."""

    permission_classes = (IsOperator,)


class TenantViewSet(ApiViewSet[M]):
    """A view of rows of a tenant. Each request runs inside a tenant scope.

    The scope of operators is every tenant, or the one of `?tenant=`. Other users have the scope of
    one of their tenants; objects of other tenants are not found.
    """

    min_role_to_read: ClassVar[Role] = Role.VIEWER
    min_role_to_write: ClassVar[Role] = Role.DEVELOPER

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as self.fence:
            return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.fence.enter_context(self.scope(request))

    def scope(self, request: Request) -> AbstractContextManager[None]:
        """Return the scope of a request. Raises NotFound, RoleTooLow or InvalidParameter."""
        slug = request.query_params.get("tenant")
        self.membership: Membership | None = None
        if is_operator(request):
            self.tenant = find_tenant(slug=slug) if slug else None
            return tenant_scope(self.tenant.pk) if self.tenant else every_tenant()
        membership = membership_of(user=acting_user(request), tenant=slug)
        reads = request.method in SAFE_METHODS
        min_role = self.min_role_to_read if reads else self.min_role_to_write
        if ROLES_ASCENDING.index(Role(membership.role)) < ROLES_ASCENDING.index(min_role):
            raise RoleTooLow
        self.membership, self.tenant = membership, membership.tenant
        return tenant_scope(membership.tenant_id)

    @property
    def rank(self) -> Rank:
        """The rank of the user in the tenant."""
        if self.membership is None:
            return Rank.OPERATOR
        return Rank.ADMIN if self.membership.role == Role.ADMIN else Rank.DEVELOPER

    def target_tenant(self) -> Tenant:
        """Return the tenant of a new row. Raises InvalidParameter if the request selects none."""
        if self.tenant is None:
            raise InvalidParameter("Select a tenant: add ?tenant=<short name>.", param="tenant")
        return self.tenant


class LimitsViewSet(TenantViewSet[M]):
    """A view of limits, which the tenant may read and only operators may change."""

    def get_permissions(self) -> list[Any]:
        return [IsAuthenticated() if self.request.method in SAFE_METHODS else IsOperator()]
