"""Three Ray nodes on this machine, for tests: a program that obeys a word a line.

It prints the address once they are there. `kill` kills one of them at random, as a machine that goes away, and puts a fresh one in
its place; `head` kills the head; the end of its input ends all. Each node has one processor, and the last one no label `spot`.
"""

from __future__ import annotations

import random
import sys

from ray.cluster_utils import Cluster

NODES = 3


def main(seed: int) -> None:
    """Start, and obey."""
    draw = random.Random(seed)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000},
    )

    def added(labels: dict[str, float]):
        return cluster.add_node(num_cpus=1, resources=labels, object_store_memory=80_000_000)

    labels = [{"spot": 1.0}] * (NODES - 1) + [{"regular": 1.0}]
    nodes = [(added(label), label) for label in labels]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "head":
            cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
            sys.stdout.write("killed\n")
            sys.stdout.flush()
            continue
        place = draw.randrange(NODES if line.strip() == "kill" else NODES - 1)
        node, label = nodes[place]
        cluster.remove_node(node, allow_graceful=False)
        nodes[place] = (added(label), label)
        sys.stdout.write("killed\n")
        sys.stdout.flush()
    for node, _ in nodes:
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
