"""How messages become a prompt and a trace becomes a completion: one format for training and for sampling.

Invariant: the rendered prompt already holds every special token it needs, so both sides tokenise it with
`add_special_tokens=False` (`encode_prompt`), and what a student is trained on is what it is asked with.
"""

from typing import Any

from lakon.core.messages import Messages

OPEN, CLOSE = "<think>", "</think>"
DEFAULT_PROMPT = "{prompt}\n"
"""The format for a base model whose tokenizer brings no chat template: the problem, then a new line."""


def render_prompt(tokenizer: Any, messages: Messages) -> str:
    """The text a model is asked with: by the tokenizer's own chat template, or else `DEFAULT_PROMPT`, with each message
    on a line of its own. A last message of the assistant's is its turn as far as it has come, to be continued.
    """
    if messages and messages[-1].role == "assistant":
        rendered = render_prompt(tokenizer, messages[:-1])
        return rendered + continue_prompt(rendered, messages[-1].content)
    if getattr(tokenizer, "chat_template", None):
        turns = [message._asdict() for message in messages]
        return tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return _bos(tokenizer) + DEFAULT_PROMPT.format(prompt="\n".join(message.content for message in messages))


def plain_template(tokenizer: Any) -> str:
    """`DEFAULT_PROMPT` as a chat template, which a student of a base without one carries, so that a server renders what
    the student was trained on.
    """
    begin = "{{ bos_token }}" if _bos(tokenizer) else ""
    return (
        begin
        + "{% for message in messages %}{{ message['content'] }}"
        + "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
        + "{% if not loop.last or add_generation_prompt %}{{ '\\n' }}{% endif %}{% endfor %}"
    )


def encode_prompt(tokenizer: Any, messages: Messages) -> list[int]:
    """The tokens of the rendered prompt, without special tokens beyond those the rendering wrote."""
    return tokenizer(render_prompt(tokenizer, messages), add_special_tokens=False)["input_ids"]


def render_completion(reasoning: str, answer: str) -> str:
    """The text a model is taught: its reasoning between think tags, then the answer; or the answer alone."""
    if not reasoning:
        return answer
    return f"{OPEN}\n{reasoning}\n{CLOSE}\n{answer}"


def continue_prompt(prompt: str, completion: str) -> str:
    """The completion as it goes on from a rendered prompt: without its opening tag where the chat template has written
    one already, as those of reasoning models do.
    """
    _, opened, after = prompt.rpartition(OPEN)
    if not opened or after.strip() or not completion.startswith(OPEN):
        return completion
    return completion.removeprefix(OPEN).removeprefix(after)


def split_completion(text: str) -> tuple[str, str, bool]:
    """Reasoning, answer, and whether the thinking was finished (true when there was none to finish).

    A text cut off while thinking is all reasoning and no answer. An opening tag may be missing, since some
    chat templates put it into the prompt.
    """
    before, closed, after = text.partition(CLOSE)
    if closed:
        return before.replace(OPEN, "", 1).strip(), after.strip(), True
    if before.lstrip().startswith(OPEN):
        return before.replace(OPEN, "", 1).strip(), "", False
    return "", text.strip(), True


def _bos(tokenizer: Any) -> str:
    """The begin-of-sequence token when this tokenizer writes one by itself, since rendering stands in for
    that.
    """
    bos = getattr(tokenizer, "bos_token", None)
    if not bos:
        return ""
    ids = tokenizer("a")["input_ids"]
    return bos if ids and ids[0] == tokenizer.bos_token_id else ""
