"""The management API's addresses."""

from django.urls import re_path
from rest_framework.routers import SimpleRouter

from agents.api.agents import AgentsViewSet
from agents.api.conversations import ConversationsViewSet, ErasuresViewSet
from agents.api.messages import DeadLettersViewSet, MessagesViewSet, TopicsViewSet
from agents.api.nodes import NodesViewSet, NodeTokensViewSet
from agents.api.remote_agents import RemoteAgentsViewSet
from agents.api.runs import ApprovalsViewSet, RunsViewSet
from agents.api.schedules import SchedulesViewSet
from agents.api.tasks import TasksViewSet
from agents.api.tools import ToolsViewSet
from config.api.audit import AuditViewSet
from config.api.conventions import answer_unknown
from inference.api.endpoints import EndpointsViewSet, JoinTokensViewSet
from inference.api.pools import PoolsViewSet
from inference.api.routes import RoutesViewSet
from inference.api.scaling import ScalingPoliciesViewSet
from tenants.api.alert_recipients import AlertRecipientsViewSet
from tenants.api.keys import KeysViewSet
from tenants.api.limits.own_limits import QuotasViewSet, RateLimitsViewSet
from tenants.api.limits.plans import PlansViewSet
from tenants.api.limits.top_ups import TopUpsViewSet
from tenants.api.members import InvitationsViewSet, MembersViewSet
from tenants.api.my_memberships import MyInvitationsViewSet, MyMembershipsViewSet
from tenants.api.tenants import TenantsViewSet
from tenants.api.tokens import TokensViewSet
from tenants.api.usage import UsageViewSet

router = SimpleRouter(trailing_slash=False)
router.register("tenants", TenantsViewSet, basename="tenant")
router.register("members", MembersViewSet, basename="member")
router.register("invitations", InvitationsViewSet, basename="invitation")
router.register("my-memberships", MyMembershipsViewSet, basename="my-membership")
router.register("my-invitations", MyInvitationsViewSet, basename="my-invitation")
router.register("api-keys", KeysViewSet, basename="api-key")
router.register("plans", PlansViewSet, basename="plan")
router.register("rate-limits", RateLimitsViewSet, basename="rate-limit")
router.register("quotas", QuotasViewSet, basename="quota")
router.register("top-ups", TopUpsViewSet, basename="top-up")
router.register("alert-recipients", AlertRecipientsViewSet, basename="alert-recipient")
router.register("usage", UsageViewSet, basename="usage")
router.register("tokens", TokensViewSet, basename="token")
router.register("agents", AgentsViewSet, basename="agent")
router.register("conversations", ConversationsViewSet, basename="conversation")
router.register("tasks", TasksViewSet, basename="task")
router.register("messages", MessagesViewSet, basename="message")
router.register("topics", TopicsViewSet, basename="topic")
router.register("dead-letters", DeadLettersViewSet, basename="dead-letter")
router.register("runs", RunsViewSet, basename="run")
router.register("approvals", ApprovalsViewSet, basename="approval")
router.register("schedules", SchedulesViewSet, basename="schedule")
router.register("erasures", ErasuresViewSet, basename="erasure")
router.register("tools", ToolsViewSet, basename="tool")
router.register("remote-agents", RemoteAgentsViewSet, basename="remote-agent")
router.register("routes", RoutesViewSet, basename="route")
router.register("pools", PoolsViewSet, basename="pool")
router.register("scaling-policies", ScalingPoliciesViewSet, basename="scaling-policy")
router.register("endpoints", EndpointsViewSet, basename="endpoint")
router.register("join-tokens", JoinTokensViewSet, basename="join-token")
router.register("nodes", NodesViewSet, basename="node")
router.register("node-tokens", NodeTokensViewSet, basename="node-token")
router.register("audit", AuditViewSet, basename="audit")

urlpatterns = [*router.urls, re_path("", answer_unknown)]
