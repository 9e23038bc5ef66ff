"""What rows of a dataset must be, as it is declared now or as it was learnt from the first rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.data import state
from treadle.data.contracts import ContractSpec

if TYPE_CHECKING:
    from treadle.app.workspace import Workspace


def contracts(workspace: Workspace, dataset: str) -> dict[str, ContractSpec]:
    """Return the contract of each part of a dataset, `rows` and `outcomes`, that has one.

    Raises:
        NotFound: the project declares no such dataset.
    """
    declared = workspace.project.dataset(dataset)
    with workspace.ledger.read() as connection:
        pin = state.read_pin(connection, dataset)
    found = dict(pin.contracts) if pin else {}
    for name, part in declared.parts().items():
        if part.contract is not None:
            found[name] = part.contract.spec()
    return found
