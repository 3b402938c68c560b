"""`lakon status`: where a run stands."""

from __future__ import annotations

from lakon.cli.options import JsonOpt, SetOpt, StoreOpt, StudyArg, parse_changes
from lakon.cli.output import print_json, print_status


def status(study: StudyArg, store: StoreOpt = None, overrides: SetOpt = None, as_json: JsonOpt = False) -> None:
    """Show where the present or last run of a study stands; works from another shell."""
    from lakon import api

    facts = api.status(study, store=store, overrides=parse_changes(overrides))
    print_json(facts) if as_json else print_status(facts)
