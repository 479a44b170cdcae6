"""Random histories of requests, crashes and losses, beside a model of what must be true.

The model has three parts: PostgreSQL (`used`, `version`, which requests are in the ledger), the
workers (what runs, what they know) and what Redis must therefore hold.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import AdmitRequest, Granted, Refused
from tenants.admission.redis_counters.scripts import COLD, ENDED, GONE, ORPHANED, RUNNING
from tests.fixtures.limits.scripts import ACME, RIVAL, Driver, ask, checks, progress, quota, scope

KEY_LIMIT, TENANT_LIMIT, MOST_AT_ONCE = 60, 100, 4
Place = tuple[int, str, str]
"""Tenant, counter, window."""


@dataclass
class Request:
    """A request as its worker knows it."""

    request: AdmitRequest
    granted: int
    seen: int = 0
    ended: bool = False
    alive: bool = True
    """Whether its worker is: a paused one may come back."""
    told: int = 0
    """Completion tokens at the last heartbeat: what an orphan is billed."""

    @property
    def tenant_id(self) -> int:
        return self.request.checks.tenant_id


@dataclass
class Held:
    """A hold as Redis must have it."""

    phase: int
    amounts: dict[Place, int]
    expired: bool = False


@dataclass
class Truth:
    """A counter in PostgreSQL."""

    used: int = 0
    granted: int = 0
    version: int = 0
    history: dict[int, tuple[int, int]] = field(default_factory=lambda: {0: (0, 0)})

    def change(self, *, used: int = 0, granted: int = 0) -> None:
        self.used += used
        self.granted += granted
        self.version += 1
        self.history[self.version] = (self.used, self.granted)


@dataclass
class Copy:
    """A counter in Redis; `used` None while only its version is known."""

    used: int | None
    granted: int
    version: int


class Histories(RuleBasedStateMachine):
    """Each instance is one history. `driver` is set by whoever runs them."""

    driver: Driver

    def __init__(self):
        super().__init__()
        self.driver.server.flushdb()
        self.now = self.driver.now_us() // 1_000_000
        self.moves = 0
        self.requests: dict[str, Request] = {}
        self.held: dict[str, Held] = {}
        self.truth: dict[Place, Truth] = {}
        self.copies: dict[Place, Copy] = {}
        self.billed: dict[str, int] = {}
        self.final: set[str] = set()
        """Whose worker has written them into the ledger itself."""
        self.messages: list[tuple[int, str, list[CounterState]]] = []
        self.early: list[CounterState] = []
        self.lost: dict[Place, int] = {}
        """How much more than a limit may run, because its holds were lost for a moment."""
        self.number = 0

    # What there is

    def checks(self, tenant_id):
        window = f"{self.now - 1000 + self.moves}-{self.now + 100_000 + self.moves}"
        key = quota("key:1", window, KEY_LIMIT)
        return checks(
            scope("key:1", key, concurrency=MOST_AT_ONCE, request_us=1, request_burst_us=10**9),
            scope("tenant", quota("tenant", window, TENANT_LIMIT)),
            tenant_id=tenant_id,
        )

    def places(self, found):
        return {
            (found.tenant_id, each.counter, each.window): each
            for its in found.scopes
            for each in its.quotas
        }

    def of(self, place):
        return self.truth.setdefault(place, Truth())

    def state(self, place):
        tenant_id, counter, window = place
        now = self.of(place)
        return CounterState(
            tenant_id=tenant_id,
            counter=counter,
            window=window,
            used=now.used,
            granted=now.granted,
            version=now.version,
        )

    def amounts(self, wanted, *, completion):
        return {
            place: each.amount(prompt=wanted.prompt_tokens, completion=completion)
            for place, each in self.places(wanted.checks).items()
        }

    def held_of(self, place):
        return sum(hold.amounts.get(place, 0) for hold in self.held.values())

    def running(self, tenant_id):
        return sum(
            hold.phase == RUNNING and self.requests[name].tenant_id == tenant_id
            for name, hold in self.held.items()
        )

    def pick(self, data, condition):
        names = sorted(name for name, each in self.requests.items() if condition(each))
        return data.draw(st.sampled_from(names)) if names else None

    # What the model expects

    def expected(self, wanted):
        """The completion that must be granted, or None if it must be refused."""
        if self.running(wanted.checks.tenant_id) >= MOST_AT_ONCE:
            return None
        most = wanted.completion_tokens
        for place, each in self.places(wanted.checks).items():
            copy = self.copies[place]
            room = each.limit + copy.granted - copy.used - self.held_of(place)
            most = min(most, room - wanted.prompt_tokens)
        return most if most >= wanted.min_completion_tokens else None

    def reap(self, tenant_id):
        for name, hold in self.held.items():
            if hold.expired and self.requests[name].tenant_id == tenant_id:
                hold.phase, hold.expired = ORPHANED, False

    def bring(self, place, *, create):
        """A newer state, as settlements and seeds bring it."""
        self.bring_state(place, self.state(place), create=create)

    def bring_state(self, place, state, *, create):
        copy = self.copies.get(place)
        version = -1 if copy is None else copy.version
        missing = copy is None or copy.used is None
        if create and (state.version > version or (missing and state.version == version)):
            self.copies[place] = Copy(state.used, state.granted, state.version)
        elif not create and state.version > version:
            used = None if missing else state.used
            self.copies[place] = Copy(used, state.granted if used is not None else 0, state.version)

    def ensure_seeded(self, found):
        missing = [
            place
            for place in self.places(found)
            if place not in self.copies or self.copies[place].used is None
        ]
        if missing:
            self.driver.seed([self.state(place) for place in missing])
            for place in missing:
                self.bring(place, create=True)
        return bool(missing)

    def dump(self, tenant_id):
        return [self.driver.scope(name, tenant_id=tenant_id) for name in ("key:1", "tenant")]

    # What happens

    @rule(
        tenant_id=st.sampled_from([ACME, RIVAL]),
        prompt=st.integers(1, 12),
        completion=st.integers(0, 40),
        least=st.integers(0, 12),
    )
    def admit(self, tenant_id, prompt, completion, least):
        self.number += 1
        name = f"req_{self.number}"
        wanted = ask(
            self.checks(tenant_id),
            name,
            prompt_tokens=prompt,
            completion_tokens=completion,
            min_completion_tokens=min(least, completion),
        )
        verdict = self.driver.admit(wanted)
        self.reap(tenant_id)
        if self.ensure_seeded(wanted.checks):
            assert verdict[1] == COLD
            verdict = self.driver.admit(wanted)
        self.judge(wanted, verdict)

    def judge(self, wanted, verdict):
        expected = self.expected(wanted)
        if expected is None:
            assert isinstance(verdict, Refused)
            return
        assert isinstance(verdict, Granted)
        assert verdict.completion_tokens == expected
        self.requests[wanted.request_id] = Request(wanted, expected)
        self.held[wanted.request_id] = Held(RUNNING, self.amounts(wanted, completion=expected))

    @rule(data=st.data())
    def be_refused_without_a_trace(self, data):
        tenant_id = data.draw(st.sampled_from([ACME, RIVAL]))
        self.driver.reap(tenant_id=tenant_id)
        self.reap(tenant_id)
        before = self.dump(tenant_id)
        too_much = ask(self.checks(tenant_id), "req_0", prompt_tokens=TENANT_LIMIT * 100)

        assert not isinstance(self.driver.admit(too_much), Granted)
        assert self.dump(tenant_id) == before

    @rule(data=st.data())
    def ask_again(self, data):
        name = self.pick(data, lambda each: each.alive and not each.ended)
        if name is None or name not in self.held:
            return
        each = self.requests[name]
        verdict = self.driver.admit(each.request)
        self.reap(each.tenant_id)
        hold = self.held[name]
        if hold.phase == ORPHANED:
            hold.phase = RUNNING
        hold.expired = False
        assert verdict.completion_tokens == each.granted

    @rule(data=st.data(), tokens=st.integers(1, 15))
    def generate(self, data, tokens):
        name = self.pick(data, lambda each: each.alive and not each.ended)
        if name is not None:
            each = self.requests[name]
            each.seen = min(each.granted, each.seen + tokens)

    @rule(data=st.data(), more=st.integers(1, 60))
    def extend(self, data, more):
        name = self.pick(data, lambda each: each.alive and not each.ended)
        if name is None:
            return
        each = self.requests[name]
        hold = self.held.get(name)
        reply = self.driver.extend(name, each.granted + more, tenant_id=each.tenant_id)
        if hold is None or hold.phase != RUNNING:
            assert reply[1] == GONE
            return
        if self.ensure_seeded(each.request.checks):
            assert reply[1] == COLD
            reply = self.driver.extend(name, each.granted + more, tenant_id=each.tenant_id)
        allowed = each.granted + more
        for place, check in self.places(each.request.checks).items():
            copy = self.copies[place]
            others = self.held_of(place) - hold.amounts[place]
            room = check.limit + copy.granted - copy.used - others
            allowed = min(allowed, room - each.request.prompt_tokens)
        each.granted = max(each.granted, allowed)
        assert reply[3] == each.granted
        hold.amounts = self.amounts(each.request, completion=each.granted)

    @rule(tenant_id=st.sampled_from([ACME, RIVAL]))
    def beat(self, tenant_id):
        beating = {
            name: each
            for name, each in self.requests.items()
            if each.alive and each.tenant_id == tenant_id and not self.is_done(name)
        }
        if beating:
            self.driver.renew([self.told(each) for each in beating.values()])
        for name, each in beating.items():
            self.beaten(name, each)

    def told(self, each):
        each.told = each.seen
        return progress(each.request, each.granted, completion_tokens=each.seen, ended=each.ended)

    def beaten(self, name, each):
        completion = each.seen if each.ended else each.granted
        hold = self.held.get(name)
        if hold is None or (each.ended and hold.phase != ENDED):
            hold = Held(RUNNING, self.amounts(each.request, completion=completion))
            self.held[name] = hold
        hold.phase = ENDED if each.ended else RUNNING
        hold.expired = False

    def is_done(self, name):
        """Its worker knows that it is settled."""
        return name in self.final and not any(name == each for _, each, _ in self.messages)

    @rule(data=st.data())
    def finish(self, data):
        name = self.pick(data, lambda each: each.alive and not each.ended)
        if name is not None:
            self.requests[name].ended = True

    @rule(data=st.data())
    def commit(self, data):
        name = self.pick(data, lambda each: each.alive and each.ended)
        if name is not None and name not in self.final:
            self.final.add(name)
            self.write_down(name, self.requests[name].seen)

    def write_down(self, name, completion):
        """In the ledger once; a second record corrects the first."""
        each = self.requests[name]
        now = self.amounts(each.request, completion=completion)
        before = (
            self.amounts(each.request, completion=self.billed[name]) if name in self.billed else {}
        )
        self.billed[name] = completion
        for place, used in now.items():
            if used != before.get(place, 0):
                self.of(place).change(used=used - before.get(place, 0))
        self.messages.append((each.tenant_id, name, [self.state(place) for place in now]))

    @rule(data=st.data(), again=st.booleans())
    @precondition(lambda self: self.messages)
    def deliver(self, data, again):
        message = data.draw(st.sampled_from(range(len(self.messages))))
        tenant_id, name, states = self.messages[message]
        removed = self.driver.settle({name: 1}, states, tenant_id=tenant_id)
        assert removed == (self.held.pop(name, None) is not None)
        for state in states:
            self.bring_state((tenant_id, state.counter, state.window), state, create=False)
        if not again:
            self.messages.pop(message)

    @rule(data=st.data())
    def lose_a_worker(self, data):
        """It may only be paused. Its lease ends."""
        name = self.pick(data, lambda each: each.alive)
        if name is not None and name not in self.final:
            self.requests[name].alive = False
            self.expire(name)

    def expire(self, name):
        hold = self.held.get(name)
        if hold is not None and hold.phase != ORPHANED:
            hold.expired = True
            self.driver.expire(name, tenant_id=self.requests[name].tenant_id)

    @rule(data=st.data())
    def come_back(self, data):
        name = self.pick(data, lambda each: not each.alive)
        if name is not None:
            self.requests[name].alive = True

    @rule(tenant_id=st.sampled_from([ACME, RIVAL]))
    def bill_abandoned_requests(self, tenant_id):
        self.driver.reap(tenant_id=tenant_id)
        self.reap(tenant_id)
        for name, hold in list(self.held.items()):
            if hold.phase == ORPHANED and self.requests[name].tenant_id == tenant_id:
                if name not in self.billed:
                    self.write_down(name, self.requests[name].told)
                    self.messages.pop()
                states = [self.state(place) for place in hold.amounts]
                assert self.driver.settle({name: -1}, states, tenant_id=tenant_id) == 1
                del self.held[name]
                for place in hold.amounts:
                    self.bring(place, create=False)

    @rule()
    def lose_all_data(self):
        """What ran without a hold may be admitted over, until it is told of again."""
        for name, hold in self.held.items():
            if name not in self.billed:
                for place, amount in hold.amounts.items():
                    self.lost[place] = self.lost.get(place, 0) + amount
        self.driver.server.flushdb()
        self.held.clear()
        self.copies.clear()
        self.early.clear()

    @rule(tenant_id=st.sampled_from([ACME, RIVAL]))
    def read_early(self, tenant_id):
        """Somebody reads the counters for a seed, and is slow to bring it."""
        self.early += [self.state(place) for place in self.places(self.checks(tenant_id))]

    @rule(data=st.data())
    @precondition(lambda self: self.early)
    def seed_late(self, data):
        state = self.early.pop(data.draw(st.integers(0, len(self.early) - 1)))
        self.driver.seed([state])
        place = (state.tenant_id, state.counter, state.window)
        self.bring_state(place, state, create=True)

    @rule(tenant_id=st.sampled_from([ACME, RIVAL]), amount=st.integers(1, 20))
    def top_up(self, tenant_id, amount):
        place = next(iter(self.places(self.checks(tenant_id))))
        self.of(place).change(granted=amount)
        self.driver.settle({}, [self.state(place)], tenant_id=tenant_id)
        self.bring(place, create=False)

    @rule()
    @precondition(lambda self: self.moves < 2)
    def move_the_window(self):
        self.moves += 1

    @rule(tenant_id=st.sampled_from([ACME, RIVAL]))
    def recount(self, tenant_id):
        assert self.driver.recount("key:1", "tenant", tenant_id=tenant_id) == []

    # What always holds

    @invariant()
    def redis_is_as_the_model(self):
        for tenant_id in (ACME, RIVAL):
            scopes = {
                name: self.driver.scope(name, tenant_id=tenant_id) for name in ("key:1", "tenant")
            }
            for name, fields in scopes.items():
                assert fields.get("c", 0) == self.running(tenant_id), name
            for place in [each for each in self.truth if each[0] == tenant_id]:
                self.counter_is_as_the_model(place, scopes)
            names = self.driver.server.hkeys(f"tenantry:{{{tenant_id}}}:holds")
            ours = {each for each in self.held if self.requests[each].tenant_id == tenant_id}
            assert {each.decode() for each in names} == ours

    def counter_is_as_the_model(self, place, scopes):
        _, counter, window = place
        fields = scopes[counter.removesuffix("|tokens")]
        assert fields.get(f"h:tokens:{window}", 0) == self.held_of(place)
        copy = self.copies.get(place)
        used = fields.get(f"u:tokens:{window}")
        assert used == (None if copy is None else copy.used)
        if used is not None:
            version = fields[f"v:tokens:{window}"]
            assert (used, fields[f"g:tokens:{window}"]) == self.of(place).history[version]
            assert used <= self.of(place).used

    @invariant()
    def limits_are_kept(self):
        for place, now in self.truth.items():
            limit = KEY_LIMIT if place[1].startswith("key:1") else TENANT_LIMIT
            assert now.used + self.exposed(place) <= limit + now.granted + self.lost.get(place, 0)

    def exposed(self, place):
        """What requests that are not in the ledger may still use, if Redis was told of them."""
        return sum(
            self.amounts(each.request, completion=each.seen if each.ended else each.granted).get(
                place, 0
            )
            for name, each in self.requests.items()
            if name in self.held and name not in self.billed
        )

    def teardown(self):
        """When all is over nothing is held, and nothing is refused that fits."""
        for name, each in self.requests.items():
            if each.alive:
                each.ended = True
                if name not in self.final:
                    self.write_down(name, each.seen)
            else:
                self.expire(name)
        while self.messages:
            tenant_id, name, states = self.messages.pop()
            self.driver.settle({name: 1}, states, tenant_id=tenant_id)
            self.held.pop(name, None)
            for state in states:
                self.bring_state((tenant_id, state.counter, state.window), state, create=False)
        for tenant_id in (ACME, RIVAL):
            self.bill_abandoned_requests(tenant_id)
            self.nothing_is_left(tenant_id)

    def nothing_is_left(self, tenant_id):
        self.redis_is_as_the_model()
        assert self.driver.holds(tenant_id=tenant_id) == 0
        assert self.driver.server.zcard(f"tenantry:{{{tenant_id}}}:expiries") == 0
        for place, copy in self.copies.items():
            if copy.used is not None and place[0] == tenant_id:
                assert copy.used == self.of(place).used
        found = self.checks(tenant_id)
        self.ensure_seeded(found)
        self.judge(
            ask(found, "req_last", completion_tokens=1),
            self.driver.admit(ask(found, "req_last", completion_tokens=1)),
        )
