"""Places are taken in turn, and none is lost with whoever goes away while they wait."""

import asyncio

import pytest

from connectors.places import Places


def soon() -> float:
    return asyncio.get_running_loop().time() + 10.0


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def are_taken(places: Places) -> bool:
    """Whether no place is free."""
    try:
        await places.take(ends_at=asyncio.get_running_loop().time())
    except TimeoutError:
        return True
    places.give_back()
    return False


async def test_whoever_finds_a_place_takes_it_at_once_and_the_others_get_theirs_in_turn() -> None:
    places, order = Places(2), list[int]()

    async def work(number: int) -> None:
        assert await places.take(ends_at=soon()), "it took time"
        order.append(number)

    assert not await places.take(ends_at=soon())
    assert not await places.take(ends_at=soon())
    waiting = [asyncio.create_task(work(number)) for number in range(3)]
    await settled()
    assert order == []
    places.give_back()
    assert await are_taken(places), "it is the first one's who waits, before it runs"
    await settled()
    assert order == [0]
    places.give_back()
    places.give_back()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


@pytest.mark.parametrize("is_its_turn", [False, True])
async def test_the_place_of_who_stopped_waiting_is_the_next_ones(is_its_turn: bool) -> None:
    places = Places(1)
    await places.take(ends_at=soon())
    goes, stays = (asyncio.create_task(places.take(ends_at=soon())) for _ in range(2))
    await settled()
    if is_its_turn:
        places.give_back()
        goes.cancel()  # its turn has come, and it has not run since
    else:
        goes.cancel()
        places.give_back()
    with pytest.raises(asyncio.CancelledError):
        await goes
    assert await stays
    assert await are_taken(places)
    places.give_back()
    assert not await are_taken(places)


async def test_who_waited_for_too_long_is_forgotten() -> None:
    places = Places(1)
    await places.take(ends_at=soon())
    for _ in range(100):
        assert await are_taken(places)
    assert len(places._waiting) == 0
    places.give_back()
    assert not await are_taken(places)
