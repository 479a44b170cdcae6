"""`GET /v1/usage`: what the caller's tenant used, and how its quotas stand."""

from urllib.parse import parse_qsl

from agents.doors.base.call import Call
from kernel.asgi import Scope
from kernel.errors import InvalidParameter
from tenants.ledger.usage_report import as_answer, read_question

PARAMETERS = ("from", "to", "group_by", "limit")


async def show_usage(call: Call) -> None:
    """Usage by day, hour, agent, model or key. Any valid key may ask, whatever its scopes."""
    principal = await call.authenticate(None)
    parameters = query_parameters(call.scope)
    question = read_question(tenant_id=principal.tenant_id, parameters=parameters)
    report = await call.gateway.usage.get(question)
    quotas = await call.gateway.quotas(principal)
    await call.respond_json(as_answer(report, quotas=quotas))


def query_parameters(scope: Scope) -> dict[str, str]:
    """The query string's parameters. Raises InvalidParameter for one that is not known."""
    text = scope.get("query_string", b"").decode("latin-1")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    for name in parameters:
        if name not in PARAMETERS:
            raise InvalidParameter(f"{name[:40]} is not a parameter of usage.", param=name[:40])
    return parameters
