"""Where a model comes from that was not trained here."""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who brought a model, and what it was made of."""

    actor: str
    #: The file's name, or the class of the object.
    source: str
    #: Digest of the file's bytes; empty: it was an object in memory.
    digest: str = ""

    def told(self) -> str:
        """Return it as part of a sentence.

        >>> Origin(actor="anna", source="delay.ubj").told()
        'imported by anna from delay.ubj'
        """
        return f"imported by {self.actor} from {self.source}" + (f" ({self.digest})" if self.digest else "")
