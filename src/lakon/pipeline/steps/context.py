"""What the body of a step is given: its context, and in it what the steps of one run share.

`Resources` says how a step is carried out: where files lie, who is asked, where replies are kept, who grades and
counts. Nothing of it is in any key, so nothing of it may change what a step computes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

from lakon.core.protocols import Engine, Tokenizer, Verifier
from lakon.core.spending import Account
from lakon.stages.train.train import TrainingRun
from lakon.stages.verify.verify import Verify
from lakon.store.ledger.ledger import Ledger
from lakon.store.step import StepContext

if TYPE_CHECKING:
    from lakon.pipeline.authors import Authors
    from lakon.pipeline.places import Places


class Resources(Protocol):
    """What the steps of one run share."""

    @property
    def places(self) -> Places:
        """Where the files and models lie that arguments refer to."""
        ...

    @property
    def authors(self) -> Authors:
        """Makes whoever is asked."""
        ...

    @property
    def engine(self) -> Engine:
        """Where heavy work runs."""
        ...

    @property
    def training(self) -> TrainingRun:
        """On how many GPUs, and how, students are trained."""
        ...

    def account(self, name: str) -> Account:
        """An endpoint's side of the budget, by its name in the study."""
        ...

    def ledger(self, label: str, identity: object) -> AbstractContextManager[Ledger]:
        """The ledger of an author; steps that run side by side share one handle."""
        ...

    def counter(self, tokenizer: str) -> Tokenizer:
        """The tokenizer of a reference, loaded once."""
        ...

    def verifier(self, domain: str, rules: Verify) -> AbstractContextManager[Verifier]:
        """The domain's verifier under these rules, which one step at a time may use."""
        ...


Inputs = TypeVar("Inputs")
Context = StepContext[Inputs, Resources]
"""The context of a body with these inputs."""
