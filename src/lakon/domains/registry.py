"""The domains by name: what "correct" means in each. To add one: a room with a `Domain` in it, and a row here.

A study may also name a `Domain` of its own as `package.module:name`. Rooms are imported when they are first used.
"""

from __future__ import annotations

from lakon.core.errors import InputError
from lakon.core.plugins import find_plugin
from lakon.core.protocols import Domain

DOMAINS = {
    "math": "lakon.domains.math:DOMAIN",
}


def domain(name: str) -> Domain:
    """The domain of a name in the table, or of a `package.module:name`. Raises `InputError` for what is not there or is
    no `Domain`."""
    candidate = find_plugin(name, DOMAINS, "domain")
    if isinstance(candidate, str):
        candidate = find_plugin(candidate, {}, "domain")
    if not isinstance(candidate, Domain):
        raise InputError(
            f"{name!r} is a {type(candidate).__name__}",
            "a lakon.core.protocols.Domain",
            "name one, or a domain of Lakon's",
        )
    return candidate
