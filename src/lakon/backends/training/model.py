"""The student's weights: loaded as the job says, and written as one model that any server reads.

Invariant: what is written carries everything that decides a reply: weights, tokenizer, chat template and generation
config. Imports torch inside functions only.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lakon.backends.chat_format import plain_template
from lakon.backends.training.adapters import add_adapters, is_adapted
from lakon.backends.training.job import TrainJob
from lakon.core.errors import InputError

EAGER_UP_TO = 512
"""On a processor, the backward pass of sdpa took half of a step at such lengths; eager needs memory by their square."""


def load_tokenizer(base: str) -> Any:
    """The base's tokenizer with a token to pad with and a chat template."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def choose_precision(job: TrainJob) -> str:
    """`auto` as what this machine multiplies well."""
    import torch

    from lakon.backends.training.optimizers import takes_bf16

    if job.precision != "auto":
        return job.precision
    return "bf16" if takes_bf16("cuda" if torch.cuda.is_available() else "cpu") else "fp32"


def choose_attention(job: TrainJob, longest: int) -> str:
    """The attention of `auto`: FlashAttention where it is installed, and never eager on a GPU."""
    import torch

    if job.attention != "auto":
        return job.attention
    if torch.cuda.is_available():
        return "flash_attention_2" if importlib.util.find_spec("flash_attn") else "sdpa"
    return "eager" if longest <= EAGER_UP_TO else "sdpa"


def load_model(job: TrainJob, *, precision: str, attention: str, processes: int) -> Any:
    """The base with its weights in the job's precision, sharded over the processes, with adapters if the job has some.

    Raises `InputError` for what this machine cannot do.
    """
    import torch

    options: dict[str, Any] = {"dtype": torch.bfloat16 if precision == "bf16" else torch.float32}
    shards_whole = processes > 1 and _ties_its_head(job.base)
    if processes > 1 and not shards_whole:
        from transformers.distributed.configuration_utils import DistributedConfig

        options["distributed_config"] = DistributedConfig(
            fsdp_size=processes, fsdp_mixed_precision=precision == "mixed"
        )
    if job.adapter is not None and job.adapter.method == "qlora":
        options["quantization_config"] = _four_bits(processes)
    model = _load_with_attention(job.base, attention, options)
    if shards_whole:
        _shard(model, mixed=precision == "mixed")
    if job.adapter is not None:
        model = add_adapters(model, job.adapter, seed=job.seed)
    return model


def reshard(model: Any) -> None:
    """Give back what a forward pass without a backward pass left gathered: whoever looks at the weights next, as an
    optimizer that is made does, must find shards."""
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _load_with_attention(base: str, attention: str, options: dict[str, Any]) -> Any:
    """The base with that attention, or with the next best one that its architecture has; the facts of the run say which
    it was. Flex attention needs no memory by the square of the length, and runs on GPUs alone."""
    import torch
    from transformers import AutoModelForCausalLM

    instead = ("flex_attention", "eager") if torch.cuda.is_available() else ("eager",)
    for implementation in (attention, *instead):
        try:
            return AutoModelForCausalLM.from_pretrained(base, attn_implementation=implementation, **options)
        except ValueError as error:
            told = str(error).lower()
            if implementation == "eager" or not ("attn" in told or "attention" in told):
                raise
        except ImportError as error:
            raise InputError(
                f"attention {implementation!r} cannot be used here: {' '.join(str(error).split())[:200]}",
                "a kind of attention that this machine has",
                'set run.training.attention = "auto", or install what it needs',
                where="train",
            ) from error
    raise AssertionError("eager attention is loaded or raises")


def save_model(model: Any, tokenizer: Any, job: TrainJob, *, processes: int) -> None:
    """Write the student to `job.out`: every process of a run takes part, the first one writes. Adapters are merged into
    the base's own weights, or else kept beside a note of their base."""
    out = Path(job.out)
    _complete_generation_config(model.generation_config, tokenizer)
    if is_adapted(model) and job.adapter is not None and job.adapter.merge:
        if processes == 1 and job.adapter.method == "lora":
            model.merge_and_unload().save_pretrained(out)
        else:
            _merge_from_disk(model, job)
    elif processes > 1 and not is_adapted(model):
        _save_gathered(model, out)
    else:
        model.save_pretrained(out)
    if not _is_first():
        return
    save_tokenizer(tokenizer, out)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer with the chat template that the student is trained with, whether its base has one or not."""
    if not getattr(tokenizer, "chat_template", None):
        tokenizer.chat_template = plain_template(tokenizer)
    tokenizer.save_pretrained(folder, save_jinja_files=False)


def _complete_generation_config(config: Any, tokenizer: Any) -> None:
    """Whoever samples the student reads here where to stop."""
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        config.pad_token_id = tokenizer.pad_token_id
    if not config.do_sample and any(getattr(config, name, None) is not None for name in ("temperature", "top_p")):
        config.do_sample = True  # a base that states a temperature and no sampling cannot be saved


def _save_gathered(model: Any, out: Path) -> None:
    """Gather a sharded model in the first process and write it as one that was never sharded."""
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if not _is_first():
        return
    config = copy.deepcopy(model.config)
    config.distributed_config = None
    with torch.device("meta"):
        whole = type(model)(config)
    whole.load_state_dict(weights, assign=True, strict=False)
    whole.tie_weights()
    whole.generation_config = model.generation_config
    whole.save_pretrained(out)


def _merge_from_disk(model: Any, job: TrainJob) -> None:
    """Merge adapters of a sharded or quantised model: into the base's own weights, read anew by the first process."""
    import torch
    import torch.distributed as dist

    assert job.adapter is not None
    folder = Path(job.work) / "adapter"
    model.save_pretrained(folder)
    if dist.is_initialized():
        dist.barrier()
    if _is_first():
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        whole: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
        _complete_generation_config(whole.generation_config, load_tokenizer(job.base))
        merged = PeftModel.from_pretrained(whole, str(folder)).merge_and_unload()
        merged.to(next(model.parameters()).dtype).save_pretrained(job.out)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No progress bars while this runs; the caller's own setting afterwards."""
    from datasets.utils import logging as datasets_logging
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled(), datasets_logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    datasets_logging.disable_progress_bar()
    try:
        yield
    finally:
        if bars[0]:
            logging.enable_progress_bar()
        if bars[1]:
            datasets_logging.enable_progress_bar()


def _ties_its_head(base: str) -> bool:
    from transformers import AutoConfig

    return bool(AutoConfig.from_pretrained(base).get_text_config().tie_word_embeddings)


def _shard(model: Any, *, mixed: bool) -> None:
    """FSDP2 on a model that every process has whole: each layer by itself, the rest together.

    Only for a head that is tied to the embedding. The library's own sharding, which loads shard by shard, puts the two
    into different groups, and TRL's loss reads the head's weight outside of its group: each process would train its
    shard of the head on its own examples alone, without a word (seen with transformers 5.23 and TRL 1.16; the second
    step's loss differed by 0.02). Tied models are small, so loading them whole costs little.
    """
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    options: dict[str, Any] = {}
    if mixed:
        options["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    if torch.cuda.is_available():
        model.to(torch.cuda.current_device())
    layers = set(getattr(model, "_no_split_modules", None) or [])
    for module in model.modules():
        if type(module).__name__ in layers:
            fully_shard(module, **options)
    fully_shard(model, reshard_after_forward=False, **options)
    # What the library sets on a model that it has sharded itself: trainer and `save_pretrained` leave it as it is.
    model._is_distributed_loading_by_transformers = True
    model._is_fsdp_managed_module = True


def _is_first() -> bool:
    import torch.distributed as dist

    return not dist.is_initialized() or dist.get_rank() == 0


def _four_bits(processes: int) -> Any:
    import torch

    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "training.adapter.method is qlora, and "
            + ("bitsandbytes is not installed" if torch.cuda.is_available() else "this machine has no GPU"),
            "a GPU and the package bitsandbytes, which holds weights in 4 bits",
            'take training.adapter.method = "lora", or run where there is one',
            where="train",
        )
    if processes > 1:
        raise InputError(
            "training.adapter.method is qlora with several processes",
            "one process: weights in 4 bits are not sharded",
            'set run.training.processes = 1, or take training.adapter.method = "lora"',
            where="train",
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
