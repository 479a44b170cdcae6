"""Secrets at rest: unreadable without a key, readable through a change of keys."""

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.models import ModelEndpoint
from kernel.secrets import EncryptedTextField, SecretUnreadable, decrypt

FIELD = EncryptedTextField()
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.mark.parametrize("secret", ["s3!", "sk-!" + "x" * 5000, "ünïcode 𝄞", " blank "])
def test_a_secret_comes_back_as_it_was(secret):
    stored = FIELD.get_prep_value(secret)

    assert secret not in stored
    assert decrypt(stored) == secret


@pytest.mark.parametrize("nothing", ["", None])
def test_no_secret_stays_none(nothing):
    assert FIELD.get_prep_value(nothing) == ""
    assert decrypt("") == ""


def test_the_same_secret_is_never_stored_the_same_way():
    assert FIELD.get_prep_value("s") != FIELD.get_prep_value("s")


def test_the_first_key_encrypts_and_every_key_decrypts(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    stored = FIELD.get_prep_value("s")

    settings.ENCRYPTION_KEYS = [NEW, OLD]
    renewed = FIELD.get_prep_value(decrypt(stored))
    settings.ENCRYPTION_KEYS = [NEW]

    assert decrypt(renewed) == "s"


def test_a_secret_whose_key_is_gone_is_unreadable(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    stored = FIELD.get_prep_value("s")
    settings.ENCRYPTION_KEYS = [NEW]

    with pytest.raises(SecretUnreadable) as caught:
        decrypt(stored)

    assert stored not in caught.value.message


@pytest.mark.parametrize("stored", ["s", "gAAAAA", "𝄞", "=" * 100])
def test_what_is_no_ciphertext_is_unreadable(stored):
    with pytest.raises(SecretUnreadable):
        decrypt(stored)


@pytest.mark.django_db
def test_the_table_holds_the_ciphertext_only():
    pool = inference.create_pool(name="tiny", engine="vllm")
    static_endpoints.add_static_endpoint(
        pool=pool, address="http://10.0.0.5", model="m", credential="s3"
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM inference_modelendpoint")
        ((stored,),) = cursor.fetchall()

    assert decrypt(stored) == ModelEndpoint.objects.get().credential == "s3"
    assert stored != "s3"
