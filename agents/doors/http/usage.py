"""`GET /v1/usage`: the usage of the caller's tenant, and the status of its quotas."""

from urllib.parse import parse_qsl

from agents.doors.base.call import Call
from kernel.asgi import Scope
from kernel.errors import InvalidParameter
from tenants.ledger.usage_report import as_answer, read_question

PARAMETERS = ("from", "to", "group_by", "limit")


async def show_usage(call: Call) -> None:
    """Respond with usage by day, hour, agent, model or key, to a key of any scope."""
    principal = await call.authenticate(None)
    parameters = query_parameters(call.scope)
    question = read_question(tenant_id=principal.tenant_id, parameters=parameters)
    report = await call.gateway.usage.get(question)
    quotas = await call.gateway.quotas(principal)
    await call.respond_json(as_answer(report, quotas=quotas))


def query_parameters(scope: Scope) -> dict[str, str]:
    """Return the parameters of the query string. Raises InvalidParameter for an unknown one."""
    text = scope.get("query_string", b"").decode("latin-1")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    for name in parameters:
        if name not in PARAMETERS:
            raise InvalidParameter(f"{name[:40]} is not a parameter of usage.", param=name[:40])
    return parameters
