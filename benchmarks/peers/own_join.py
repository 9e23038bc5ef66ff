"""One of the programs of `wide_join`, as a peer: prints its CPU seconds, or its GB."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from wide_join import measured


def main() -> None:
    """Run the program and say what it took."""
    cpu, memory = measured(sys.argv[1], Path(sys.argv[2]))
    print(cpu if sys.argv[3] == "cpu" else memory)


if __name__ == "__main__":
    main()
