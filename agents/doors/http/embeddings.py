"""`POST /v1/embeddings`: embeddings, from routes with this purpose."""

from functools import partial

from agents.doors.base.call import Call
from agents.runtime.model.metering import Meter
from agents.runtime.model.routing import encode_embeddings_request, start_route
from agents.runtime.model.subject import subject_of
from agents.runtime.model.token_estimate import embeddings_demand
from inference.relay.encoding import with_client_model_name
from inference.relay.schema import EmbeddingsRequest, ensure_one_input, parse
from inference.relay.upstream import Path
from inference.relay.usage import read_usage_of_answer
from kernel.asgi import ClientWatch

NAME = "embeddings"
PATH: Path = "/v1/embeddings"


async def embeddings(call: Call) -> None:
    """Parse and admit the request, relay it, and settle its usage."""
    principal = await call.authenticate("embeddings")
    request = parse(await call.body(), EmbeddingsRequest)
    ensure_one_input(request)
    target = await call.find_target(principal, request.model, purpose="embeddings")
    subject = subject_of(
        target,
        principal=principal,
        door=NAME,
        request_kind="embeddings",
        client_request_id=call.client_request_id,
    )
    gate = call.gateway.gate
    demand = embeddings_demand(request, target.route)
    admission = await gate.admit(subject, demand, request_id=call.request_id)
    call.limit_headers = admission.headers()
    route_trace = start_route(target.route, admission)
    encode = partial(encode_embeddings_request, route_trace, request)
    call.upstream_seconds = None
    with Meter(gate, admission, route_trace=route_trace) as meter:
        async with ClientWatch(call.receive):
            async with await call.gateway.relay.open(route_trace, PATH, encode) as exchange:
                await exchange.ensure_success(content_type="application/json")
                answer = await exchange.answer()
                usage = read_usage_of_answer(answer)
            call.upstream_seconds = exchange.waited
            meter.record_usage(usage)
            await call.respond(with_client_model_name(answer, exchange.endpoint, target.model))
