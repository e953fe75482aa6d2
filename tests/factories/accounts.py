from __future__ import annotations

from functools import cache

import factory
from django.contrib.auth.hashers import make_password

from hub.accounts.models import User

PASSWORD = "correct-horse-battery-7"


@cache
def hashed() -> str:
    """Hashed once; Argon2 is slow on purpose."""
    return make_password(PASSWORD)


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    name = factory.Sequence(lambda n: f"Person {n}")
    email = factory.Sequence(lambda n: f"person{n}@example.org")
    password = factory.LazyFunction(hashed)
