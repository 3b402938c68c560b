"""The tiny student: its tokenizer and its configuration, and where the shipped pre-trained base lies.

Invariant: any text can be encoded (byte-level), digits are separate tokens, and the think tags and
`\\boxed{` are ordinary tokens, since servers strip special ones from replies. Read next: `pretrain.py`.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
VOCABULARY = 480
CONTEXT = 1024
CHAT_TEMPLATE = "{% for message in messages %}{{ message['content'] + '\\n' }}{% endfor %}"
GENERATION = {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 0}

# A word keeps the space after it, so that a number needs no token for the space before it; the tags and
# the box are each one piece, so that they can become one (ordinary) token.
_PIECES = r"\n?</?think>\n?|\\boxed\{|\d| ?\p{L}+ ?|[^\p{L}\d\s<\\]+ ?|[<\\]|\s+"


def base_path() -> Path:
    """The folder of the base that ships with the package."""
    return Path(__file__).parent / "base"


def build_tokenizer(texts: Iterable[str]) -> Any:
    """A byte-level BPE tokenizer of `VOCABULARY` tokens learnt from `texts`, with a trivial chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS, UNK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: Any, *, seed: int) -> Any:
    """A freshly initialised student (1.4 million parameters), the same for the same seed."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.04,
        attention_dropout=0.0,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation="eager",  # pyright: ignore[reportCallIssue]
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        **GENERATION,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return model
