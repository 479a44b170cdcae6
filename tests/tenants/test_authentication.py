"""Authentication: a principal exists only with a proof, and is forgotten when it changes."""

import msgspec
import pytest

from kernel.errors import Unauthenticated
from tenants.admission.authentication import FRESH_SECONDS, STALE_SECONDS, Keyring, key_text
from tenants.api_keys.keys import KeyText, digest_key, new_key, pepper_name
from tenants.errors import InvalidApiKey, KeysUnavailable
from tests.fixtures.limits.principals import principal


class Database:
    """Principals by public id; counts how often it is asked."""

    def __init__(self):
        self.rows = {}
        self.asked = 0
        self.away = False
        self.now = 0.0

    def issue(self, *, pepper="new", **facts) -> KeyText:
        key = new_key()
        self.rows[key.public_id] = principal(
            public_id=key.public_id,
            digest=digest_key(key, pepper=pepper),
            pepper=pepper_name(pepper),
            **facts,
        )
        return key

    async def load(self, public_id):
        self.asked += 1
        if self.away:
            raise KeysUnavailable
        return self.rows.get(public_id)

    def keyring(self, *peppers) -> Keyring:
        return Keyring(self.load, peppers=peppers or ("new", "old"), clock=lambda: self.now)


@pytest.fixture
def database():
    return Database()


async def refusal(keyring, key) -> InvalidApiKey:
    with pytest.raises(InvalidApiKey) as caught:
        await keyring.authenticate(str(key))
    return caught.value


async def test_a_key_is_known_by_its_secret(database):
    key = database.issue()

    assert (await database.keyring().authenticate(str(key))).public_id == key.public_id


async def test_a_wrong_secret_and_an_unknown_id_are_one_answer(database):
    key, keyring = database.issue(), database.keyring()
    wrong = KeyText(kind="tnt", public_id=key.public_id, secret=new_key().secret)

    answers = [await refusal(keyring, each) for each in (wrong, new_key(), "junk")]

    assert len({(each.code, each.message, str(each.headers())) for each in answers}) == 1


async def test_junk_asks_nobody(database):
    keyring, key = database.keyring(), str(new_key())
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")

    for junk in ("", "tnt_", "ü" * 55, wrong):
        await refusal(keyring, junk)

    assert database.asked == 0


async def test_an_old_pepper_still_verifies(database):
    key = database.issue(pepper="old")

    assert await database.keyring("new", "old").authenticate(str(key))


async def test_a_removed_pepper_refuses(database):
    key = database.issue(pepper="old")

    await refusal(database.keyring("new"), key)


async def test_a_digest_of_another_pepper_proves_nothing(database):
    key = database.issue(pepper="old")
    row = database.rows[key.public_id]
    database.rows[key.public_id] = msgspec.structs.replace(row, pepper=pepper_name("new"))

    await refusal(database.keyring(), key)


async def test_a_key_is_asked_for_once(database):
    key, keyring = database.issue(), database.keyring()

    for _ in range(5):
        await keyring.authenticate(str(key))

    assert database.asked == 1


async def test_forgetting_a_tenant_loads_its_keys_anew(database):
    key, keyring = database.issue(tenant_id=1), database.keyring()
    await keyring.authenticate(str(key))
    row = database.rows[key.public_id]
    database.rows[key.public_id] = msgspec.structs.replace(row, blocked=True)

    keyring.forget_tenant(1)

    assert (await keyring.authenticate(str(key))).blocked


async def test_forgetting_a_tenant_leaves_the_others_alone(database):
    key, keyring = database.issue(tenant_id=1), database.keyring()
    await keyring.authenticate(str(key))

    keyring.forget_tenant(2)
    await keyring.authenticate(str(key))

    assert database.asked == 1


async def test_a_new_key_works_although_it_was_tried_too_early(database):
    keyring, key = database.keyring(), database.issue(tenant_id=1)
    row = database.rows.pop(key.public_id)
    await refusal(keyring, key)

    database.rows[key.public_id] = row
    keyring.forget_tenant(1)

    assert await keyring.authenticate(str(key))


async def test_an_unknown_key_asks_the_database_once(database):
    keyring, key = database.keyring(), new_key()

    await refusal(keyring, key)
    await refusal(keyring, key)

    assert database.asked == 1


@pytest.mark.parametrize("seconds", [FRESH_SECONDS + 1, STALE_SECONDS - 1])
async def test_a_known_key_works_while_postgresql_is_away(database, seconds):
    key, keyring = database.issue(), database.keyring()
    await keyring.authenticate(str(key))

    database.now, database.away = seconds, True

    assert await keyring.authenticate(str(key))


async def test_an_unknown_key_is_not_called_invalid_while_postgresql_is_away(database):
    key, keyring = database.issue(), database.keyring()
    database.away = True

    with pytest.raises(KeysUnavailable):
        await keyring.authenticate(str(key))


async def test_a_key_that_is_gone_cannot_be_refreshed(database):
    key, keyring = database.issue(), database.keyring()
    known = await keyring.authenticate(str(key))
    del database.rows[key.public_id]
    keyring.forget_tenant(known.tenant_id)

    with pytest.raises(InvalidApiKey):
        await keyring.refresh(known)


async def test_a_refreshed_principal_is_the_current_one(database):
    key, keyring = database.issue(), database.keyring()
    known = await keyring.authenticate(str(key))
    database.rows[key.public_id] = msgspec.structs.replace(known, tenant_active=False)
    keyring.forget_tenant(known.tenant_id)

    assert not (await keyring.refresh(known)).tenant_active


HEADERS = {
    "bearer": ([(b"authorization", b"Bearer k")], "k"),
    "any case": ([(b"authorization", b"bEARER  k ")], "k"),
    "the other header": ([(b"x-api-key", b" k")], "k"),
    "both": ([(b"x-api-key", b"other"), (b"authorization", b"Bearer k")], "k"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_the_key_is_read_from_its_header(case):
    headers, text = HEADERS[case]

    assert key_text({"headers": headers}) == text


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Basic k")],
        [(b"authorization", b"Basic k"), (b"x-api-key", b"k")],
        [(b"x-api-key", b"k"), (b"x-api-key", b"k")],
    ],
)
def test_without_exactly_one_key_nobody_is_known(headers):
    with pytest.raises(Unauthenticated):
        key_text({"headers": headers})
