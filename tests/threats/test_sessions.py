"""Several users with several devices, each perhaps a thief's, against a model of sessions."""

import random
from dataclasses import dataclass, field

import pytest

from tests.support.gateway import RunningGateway

_STEPS = 250


@dataclass
class OwnedSession:
    """A session and all tokens that it ever had; `alive` until it should have ended."""

    user: int
    access: list[str]
    refresh: list[str]
    alive: bool = True
    confirmed: bool = field(default=False)


class StolenTokensModel:
    """A model of sessions and its invariants, compared with a gateway after each step."""

    def __init__(self, gateway: RunningGateway, seed: int) -> None:
        self.gateway = gateway
        self.dice = random.Random(seed)
        self.devices: list[OwnedSession] = []
        self.reuses = 0

    def living(self) -> list[OwnedSession]:
        return [device for device in self.devices if device.alive]

    async def log_in(self) -> None:
        user = self.dice.randint(1, 3)
        if sum(device.user == user for device in self.living()) >= 5:
            return
        pair = await self.gateway.login(user)
        self.devices.append(OwnedSession(user, [pair["access"]], [pair["refresh"]]))

    async def refresh(self) -> None:
        device = self.dice.choice(self.devices)
        answer = await self.gateway.post("/refresh", {"refresh": device.refresh[-1]})
        assert answer.status == (200 if device.alive else 401)
        if device.alive:
            pair = await answer.json()
            device.access.append(pair["access"])
            device.refresh.append(pair["refresh"])
            # A client that uses the new token has received it: the old tokens now betray a thief.
            assert await self.gateway.status(pair["access"]) == 200

    async def replay(self) -> None:
        """Use a token that is older than the parent of the current token, as a thief would."""
        device = self.dice.choice(self.devices)
        if len(device.refresh) < 3:
            return
        answer = await self.gateway.post(
            "/refresh", {"refresh": self.dice.choice(device.refresh[:-2])}
        )
        assert answer.status == 401
        self.reuses += device.alive
        device.alive = False

    async def log_out(self) -> None:
        device = self.dice.choice(self.devices)
        token = self.dice.choice(device.access)
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await self.gateway.post("/logout", headers=bearer)).status == 200
        device.alive = False

    async def log_out_everywhere(self) -> None:
        device = self.dice.choice(self.devices)
        bearer = {"Authorization": f"Bearer {device.access[-1]}"}
        answer = await self.gateway.post("/logout", {"all": True}, headers=bearer)
        assert answer.status == 200
        self._end_all_of(device.user)

    async def revoke(self) -> None:
        user = self.dice.randint(1, 3)
        answer = await self.gateway.post("/revoke", {"user_id": user}, headers=self.gateway.shop)
        assert answer.status == 200
        self._end_all_of(user)

    def _end_all_of(self, user: int) -> None:
        for device in self.devices:
            device.alive = device.alive and device.user != user

    async def check_everything(self) -> None:
        """Every access token ever issued lives exactly as long as its session."""
        for device in self.devices:
            for token in device.access[-3:]:
                assert await self.gateway.status(token) == (200 if device.alive else 401)


@pytest.mark.parametrize("seed", range(3))
async def test_exactly_what_was_addressed_dies(gateway: RunningGateway, seed: int) -> None:
    model = StolenTokensModel(gateway, seed)
    steps = [model.log_in, model.refresh, model.replay, model.log_out, model.log_out_everywhere]
    await model.log_in()
    for number in range(_STEPS):
        (step,) = model.dice.choices([*steps, model.revoke], weights=[6, 12, 2, 1.5, 0.5, 0.3])
        await step()
        if number % 10 == 0:
            await model.check_everything()
    await model.check_everything()
    assert model.reuses
    said = [event for event in gateway.events if event.name == "refresh_reuse"]
    assert len(said) == model.reuses
    assert all(event.sub and event.sid for event in said)
