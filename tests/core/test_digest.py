"""Fingerprints: canonical, stable, and refusing to guess."""

from __future__ import annotations

import pytest

from lakon.core.digest import canonical_json, derive_seed, digest


def test_equal_values_have_one_text_whatever_their_order():
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'


def test_a_digest_is_pinned_for_ever():
    assert digest(["math", "1+1", "2"]) == "e2e427e71b2c0561eedbb17d626b3ef3"


def test_integers_and_floats_differ():
    assert digest(1) != digest(1.0)


@pytest.mark.parametrize(
    ("value", "named"), [({"x": {1, 2}}, "$.x"), ([float("nan")], "$[0]"), ({1: 2}, "key 1"), (object(), "object")]
)
def test_what_has_no_canonical_form_raises_and_says_where(value: object, named: str):
    with pytest.raises(TypeError, match=r"canonical form|keys must be strings") as caught:
        digest(value)
    assert named in str(caught.value)


def test_seeds_depend_on_every_part_and_fit_in_63_bits():
    assert derive_seed(0, "a") != derive_seed(0, "b")
    assert 0 <= derive_seed("x") < 2**63
