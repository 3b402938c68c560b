"""`lakon eval`: models on benchmarks, without a study file; one is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakon.cli.options import JsonOpt, ReportsOpt, StoreOpt, remember_study


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="http://HOST/v1, http://HOST/v1#MODEL, a folder with a model, or OWNER/MODEL of the hub; "
            "NAME=MODEL names one. The first is the one that others are compared with.",
        ),
    ],
    on: Annotated[
        list[str],
        typer.Option("--on", metavar="BENCHMARK", help="Known benchmarks and JSONL or Parquet files, apart by commas."),
    ],
    samples: Annotated[int, typer.Option(min=1, max=1024, help="Answers to each problem.")] = 8,
    problems: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Draw so many problems of each benchmark.")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=5, help="0 is greedy.")] = 0.6,
    top_p: Annotated[float, typer.Option("--top-p", min=0, max=1, help="Nucleus sampling; 1 is off.")] = 0.95,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Most tokens of one answer.")] = 32_768,
    prompt: Annotated[
        str | None, typer.Option(help="What models are shown; {problem} stands for the problem's text.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(min=0, max=1, help="Non-inferiority margin, 0.05 for five points.")
    ] = None,
    problem_field: Annotated[str | None, typer.Option("--problem-field", help="Of files: where a problem is.")] = None,
    answer_field: Annotated[str | None, typer.Option("--answer-field", help="Of files: where its answer is.")] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Counts all models' tokens. Default: the first local model's, else words.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", metavar="VARIABLE", help="The variable that holds the servers' key.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Most requests in flight at one server.")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="Money for a million prompt and completion tokens.")
    ] = None,
    tokens_per_answer: Annotated[
        float | None, typer.Option("--tokens-per-answer", min=1, help="Expected length of an answer, for the price.")
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="vllm, sglang or transformers samples local models; else this process does.")
    ] = None,
    server_python: Annotated[
        str | None, typer.Option("--server-python", metavar="PATH", help="The interpreter that has the server.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=16, help="Most tokens of a prompt and its answer at the server.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the study file, NAME.toml, and of the report.")] = "eval",
    plan_only: Annotated[bool, typer.Option("--plan", help="Write the study, say what it takes, and end.")] = False,
    store: StoreOpt = None,
    reports: ReportsOpt = Path("reports"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    as_json: JsonOpt = False,
) -> None:
    """Evaluate models on benchmarks and compare them; run it again to go on or to add to it."""
    from lakon import api
    from lakon.cli.output import print_run
    from lakon.cli.plan_output import print_eval_price, print_plan

    prepared = api.prepare_eval(
        models,
        on=on,
        name=name,
        samples=samples,
        sampling={"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens},
        prompt=prompt,
        problems=problems,
        prompt_field=problem_field,
        reference_field=answer_field,
        margin=margin,
        tokenizer=tokenizer,
        key_env=key_env,
        concurrency=concurrency,
        price=_rates(price),
        tokens_per_answer=tokens_per_answer,
        serving=_serving(server, server_python, max_length),
        store=store,
    )
    study = remember_study(str(prepared.study))
    if plan_only:
        print_plan(prepared.bill, [], as_json)
        return
    if not as_json:
        print_eval_price(prepared)
    summary = api.run(study, store=store, reports=reports, quiet=quiet or as_json)
    print_run(summary, as_json, f"lakon show {study} funnel")


def _rates(price: str | None) -> tuple[float, float] | None:
    """`IN,OUT` as numbers."""
    from lakon.core.errors import InputError

    if price is None:
        return None
    try:
        rates = tuple(float(each) for each in price.split(","))
    except ValueError:
        rates = ()
    if len(rates) != 2 or min(rates) < 0:
        todo = "write for instance --price 0.25,1.25"
        raise InputError(f"--price {price}", "two numbers, of prompt and of completion tokens", todo)
    return rates[0], rates[1]


def _serving(server: str | None, python: str | None, max_length: int | None) -> dict[str, object] | None:
    """`run.serving` from what was typed."""
    from lakon.core.errors import InputError

    stated = {"python": python, "max_length": max_length}
    if server is None:
        if python is not None or max_length is not None:
            found = f"--{'server-python' if python is not None else 'max-length'} without --server"
            raise InputError(found, "the server that it is about", "add --server vllm")
        return None
    return {"server": server, **{name: value for name, value in stated.items() if value is not None}}
