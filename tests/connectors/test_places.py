"""Places are taken in turn, and none is lost with whoever goes away while they wait."""

import asyncio

import pytest

from connectors.places import Places


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_whoever_finds_a_place_takes_it_at_once_and_the_others_get_theirs_in_turn() -> None:
    places, order = Places(2), list[int]()

    async def work(number: int) -> None:
        await places.take()
        order.append(number)

    assert places.take_now()
    assert places.take_now()
    assert not places.take_now()
    waiting = [asyncio.create_task(work(number)) for number in range(3)]
    await settled()
    assert order == []
    places.give_back()
    assert not places.take_now(), "it is the first one's who waits, before it runs"
    await settled()
    assert order == [0]
    places.give_back()
    places.give_back()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


@pytest.mark.parametrize("is_its_turn", [False, True])
async def test_the_place_of_who_stopped_waiting_is_the_next_ones(is_its_turn: bool) -> None:
    places = Places(1)
    assert places.take_now()
    goes, stays = asyncio.create_task(places.take()), asyncio.create_task(places.take())
    await settled()
    if is_its_turn:
        places.give_back()
        goes.cancel()  # its turn has come, and it has not run since
    else:
        goes.cancel()
        places.give_back()
    with pytest.raises(asyncio.CancelledError):
        await goes
    await asyncio.wait_for(stays, 1)
    assert not places.take_now()
    places.give_back()
    assert places.take_now()
