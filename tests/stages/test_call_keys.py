"""Keys of calls, pinned: whoever has paid for replies under these keys must find them again."""

from __future__ import annotations

import pytest

from lakon.core.digest import digest
from lakon.core.messages import build_messages
from lakon.core.records import Problem
from lakon.core.spec import Sampling
from lakon.stages.generate.requests import list_requests
from lakon.stages.generate.specs import EndpointTeacher
from lakon.stages.verify.judge import _JudgedAnswer, _request

PROBLEM = Problem.of("What is 1+1?", "2")
PLAIN = EndpointTeacher(model="m").identity()
BRIEF = EndpointTeacher(model="m", system="Be brief.").identity()
STUDENT = {"checkpoint": "c", "seed": 0}
LOW = "Reasoning effort: low"


@pytest.mark.parametrize(
    ("identity", "template", "system", "keys"),
    [
        (PLAIN, "{problem}", "", ["93bde07e3bd670b18021f3a1f61993f4", "4c75f8e5d08e58a3a0289f90ec4c7721"]),
        (BRIEF, "{problem}", "Be brief.", ["058d895dbbde97c693a1b6851fba875f", "3196e66cb4aa9ddb0083aeab555a472d"]),
        (BRIEF, "Q: {problem}", "Be brief.", ["7d8080c5091892172328caddfcddaf3c", "bd9c3ae0e3efbe668fefbeaf5751cd5c"]),
        (STUDENT, "{problem}", "", ["4bc15ea78aa186e8bd47fd97a8e59657", "404c9d69f67848097a2ac049df0b322b"]),
        (STUDENT, "{problem}", LOW, ["6ca648c9846624d758134d1c734e1f6d", "3f0d61076c4a8055b3d4d3f34d0e1df6"]),
        (STUDENT, "Q: {problem}", LOW, ["6474c4a4a6018d8bc607f5aa3dc78086", "0eead9a5c74d44d9b29f9a26183843a1"]),
    ],
)
def test_requests_have_the_keys_under_which_their_replies_were_paid_for(
    identity: object, template: str, system: str, keys: list[str]
):
    sampling = Sampling(temperature=0.6)
    asked = list_requests([PROBLEM], identity, template=template, sampling=sampling, samples=2, system=system)
    assert [request.key for request in asked] == keys
    prompt = template.replace("{problem}", PROBLEM.prompt)
    assert [request.messages for request in asked] == [build_messages(prompt, system)] * 2


def test_a_system_message_that_an_identity_does_not_name_is_a_call_of_its_own():
    def key(identity: object, system: str) -> str:
        asked = list_requests([PROBLEM], identity, template="{problem}", sampling=Sampling(), samples=1, system=system)
        return asked[0].key

    assert len({key(PLAIN, ""), key(PLAIN, LOW), key(BRIEF, "Be brief."), key(BRIEF, LOW)}) == 4
    assert key(BRIEF, "Be brief.") == key(BRIEF, ""), "a plan that only counts calls need not say it"


def test_the_judge_has_the_keys_under_which_its_votes_were_paid_for():
    judged = _JudgedAnswer(digest(["judge", "Same?"]), "Same?")
    request = _request(judged, digest([{"model": "m"}, Sampling().identity()]), 1, Sampling())
    assert request.key == "50945768f6dc8cf5bbe62df1737f832d"
    assert request.messages == build_messages("Same?")
