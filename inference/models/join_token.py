"""Join tokens: the credentials with which engines register. Each is valid for one pool."""

from django.db import models

from tenants.models.registration_token import RegistrationToken


class JoinToken(RegistrationToken):
    """A secret with which engines register in one pool. Only its digest is stored."""

    pool = models.ForeignKey(
        "inference.ModelPool", on_delete=models.CASCADE, related_name="join_tokens"
    )

    class Meta(RegistrationToken.Meta):
        pass

    def __str__(self) -> str:
        return f"{self.name} (tnj_{self.public_id}…)"
