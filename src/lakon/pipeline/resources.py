"""What the steps of one run share: ledgers, tokenizers, verifiers, worker processes, whoever is asked, the budget.

What is expensive to open is opened once, when the first step needs it. Nothing here is in any key.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lakon.backends.tokenizers import load_counter
from lakon.core.digest import digest
from lakon.core.errors import Fault, StoreError
from lakon.core.protocols import Tokenizer, Verifier, VerifierOptions
from lakon.core.spending import Account, Budget, Rate, Spent
from lakon.domains import registry
from lakon.engines.local import LocalEngine
from lakon.pipeline.authors import Authors
from lakon.pipeline.places import Places
from lakon.stages.generate.specs import EndpointTeacher
from lakon.stages.train.train import TrainingRun
from lakon.stages.verify.verify import Verify
from lakon.store.artifacts import AnyStore
from lakon.store.ledger.ledger import Ledger
from lakon.study.schema import Run

log = logging.getLogger(__name__)


class RunResources:
    """Implements `steps.context.Resources` for one run. Close it when the run is over."""

    def __init__(self, run: Run, places: Places, store: AnyStore, stop: threading.Event | None = None) -> None:
        self.run, self.places, self.store = run, places, store
        self.stop = stop or threading.Event()
        self.engine = LocalEngine(run.workers)
        self.budget = Budget(tokens=run.budget.tokens, money=run.budget.money)
        self.authors = Authors(
            run.endpoints, places, self.engine, self.stop, self.account, run.serving, store.root / "servers"
        )
        self._ledgers: dict[Path, tuple[Ledger, int]] = {}
        self._counters: dict[str, Tokenizer] = {}
        self._verifiers: dict[str, Verifier] = {}
        self._opening = threading.Lock()
        self._verifying = threading.Lock()

    @property
    def training(self) -> TrainingRun:
        """On how many GPUs, and how, students are trained."""
        return self.run.training

    def close(self) -> None:
        """End the workers and servers; ledgers close with the steps that use them."""
        self.authors.close()
        self.engine.close()
        for verifier in self._verifiers.values():
            verifier.close()

    def halt(self) -> None:
        """Drop what is in flight: workers are ended, and every reply that has arrived is made durable."""
        self.stop.set()
        self.engine.stop()
        for ledger, _ in list(self._ledgers.values()):
            try:
                ledger.flush()
            except StoreError as error:  # one full disk must not keep the replies of the others waiting
                log.warning("%s", error)

    def counter(self, tokenizer: str) -> Tokenizer:
        """The tokenizer of a reference, loaded once."""
        with self._opening:
            if tokenizer not in self._counters:
                self._counters[tokenizer] = load_counter(self.places.path(tokenizer))
            return self._counters[tokenizer]

    @contextlib.contextmanager
    def ledger(self, label: str, identity: object) -> Iterator[Ledger]:
        """The ledger of an author; steps that run side by side share one handle."""
        path = self.store.ledger_path(label, digest(identity))
        with self._opening:
            ledger, users = self._ledgers.get(path, (None, 0))
            if ledger is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                ledger = Ledger.open(path)
            self._ledgers[path] = (ledger, users + 1)
        try:
            yield ledger
        finally:
            with self._opening:
                ledger, users = self._ledgers.pop(path)
                if users > 1:
                    self._ledgers[path] = (ledger, users - 1)
                else:
                    ledger.close()

    @contextlib.contextmanager
    def verifier(self, domain: str, rules: Verify) -> Iterator[Verifier]:
        """The domain's verifier under these rules: its workers load their algebra once, and one step at a time uses
        them."""
        name = digest([domain, rules.payload()])
        with self._verifying:
            if name not in self._verifiers:
                options = VerifierOptions(
                    workers=max(1, self.engine.slots // 2),
                    limit_s=rules.limit_s,
                    boxed_only=rules.extract == "boxed",
                )
                self._verifiers[name] = registry.domain(domain).make_verifier(options)
            yield self._verifiers[name]

    def account(self, name: str) -> Account:
        """An endpoint's side of the budget, at its stated rates."""
        price = self.run.prices.get(name)
        return Account(self.budget, Rate(price.input_per_million, price.output_per_million) if price else None)

    def count_earlier(self, spent: Mapping[str, Spent]) -> None:
        """File what endpoints took before this run, by name: once, and before anything is asked."""
        for name, earlier in spent.items():
            self.account(name).add_earlier(earlier)

    def endpoint_faults(self, served: Mapping[str, EndpointTeacher], names: Iterable[str]) -> list[Fault]:
        """What would keep these of the endpoints from working, found without a paid request."""
        return self.authors.find_faults(served, names)
