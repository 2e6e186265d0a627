"""The fence: a shell script that makes the network of database jobs lead to the database alone.

The engine gives a network its own bridge, and what a container may reach over it is the machine's
firewall to say: from this bridge to the database's address and port, and to nothing else, neither
beyond the machine nor on it. Containers of one bridge are kept apart by the engine's own option.
"""

import re
from collections.abc import Iterable

CHAIN = "SPOOLRUNNER-DB"


_SCRIPT = """\
#!/bin/sh
# The network NETWORK: database jobs reach the database by it, and nothing else.
# Run it as root, after the engine and before spoolrunner, each time the machine starts, and again
# when a database has moved. iptables' own tools keep no rules over a restart of the machine.
set -eu
docker network inspect NETWORK >/dev/null 2>&1 ||
    docker network create -o com.docker.network.bridge.enable_icc=false NETWORK
name='{{index .Options "com.docker.network.bridge.name"}}'
bridge=$(docker network inspect -f "$name" NETWORK)
[ -n "$bridge" ] || bridge=br-$(docker network inspect -f '{{.Id}}' NETWORK | cut -c -12)
apart='{{index .Options "com.docker.network.bridge.enable_icc"}}'
[ "$(docker network inspect -f "$apart" NETWORK)" = false ] || {
    echo 'Containers of NETWORK reach each other: remove it, and run this again.' >&2
    exit 4
}
[ "$(cat /proc/sys/net/bridge/bridge-nf-call-iptables 2>/dev/null)" = 1 ] || {
    echo 'The kernel does not show a bridge to the firewall: modprobe br_netfilter, then' >&2
    echo 'sysctl net.bridge.bridge-nf-call-iptables=1, and run this again.' >&2
    exit 4
}
iptables-restore --noflush <<'RULES'
*filter
:CHAIN - [0:0]
OPENED-A CHAIN -j REJECT
COMMIT
RULES
for chain in DOCKER-USER INPUT; do
    iptables -C $chain -i "$bridge" -j CHAIN 2>/dev/null ||
        iptables -I $chain -i "$bridge" -j CHAIN
done
"""


def script(network: str, doors: Iterable[tuple[str, int]]) -> str:
    """doors: address and port of each database. Run again, it replaces the rules at once."""
    opened = "".join(
        f"-A {CHAIN} -d {address}/32 -p tcp --dport {port} -j RETURN\n" for address, port in doors
    )
    known = {"NETWORK": network, "CHAIN": CHAIN, "OPENED": opened}
    return re.sub("|".join(known), lambda word: known[word[0]], _SCRIPT)
