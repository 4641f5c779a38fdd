"""A reload leaves the numbers of a replica as they are."""

from authgw.server.replica import Replica
from tests.support.gateway import MakeGateway


def refreshes(replica: Replica) -> float:
    (measured,) = replica._parts.refreshes.collect()
    return measured.values[("rotated",)]


async def test_the_count_of_refreshes_survives_a_reload(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(auth={"open_login": True})
    replica = gateway.server._replica
    pair = await gateway.login()
    for number in (1, 2):
        answer = await gateway.post("/refresh", {"refresh_token": pair["refresh_token"]})
        assert answer.status == 200
        pair = await answer.json()
        assert refreshes(replica) == number
        replica.serving.use(replica._build(replica._state, replica._not_ready_reason))
