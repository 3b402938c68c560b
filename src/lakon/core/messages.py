"""What an author is shown: a conversation, one message after the other.

Invariant: a request holds all of it. Nobody who passes a request on adds to its messages, so what a call's key and the
budget count is what the model reads. Where the last message is the assistant's, the model is to go on with it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Role = Literal["system", "user", "assistant"]


class Message(NamedTuple):
    """One message: who speaks, and the text. A tuple, because a study makes hundreds of thousands."""

    role: Role
    content: str


Messages = tuple[Message, ...]


def build_messages(prompt: str, system: str | None = None) -> Messages:
    """The conversation up to the model's turn: the system message, if there is one, then the prompt."""
    user = Message("user", prompt)
    return (Message("system", system), user) if system else (user,)


def read_prompt(messages: Messages) -> str:
    """The text of the last user message. Raises ValueError when there is none."""
    for message in reversed(messages):
        if message.role == "user":
            return message.content
    raise ValueError(f"found no user message among {len(messages)}; expected one to answer")
