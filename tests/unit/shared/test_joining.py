"""A service's readers join their groups, also when the broker has forgotten them while the group gathered."""

import pytest
from aiokafka.errors import InvalidRequestError, KafkaError, TopicAuthorizationFailedError

from shared.fetching import join


class Subscriber:
    """Starts when it has failed with each of ``errors``."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.begun = self.ended = 0

    async def start(self) -> None:
        self.begun += 1
        if self._errors:
            raise self._errors.pop(0)

    async def stop(self) -> None:
        self.ended += 1


def refused() -> KafkaError:
    """As the client has it of an answer to SyncGroup that it does not know."""
    return KafkaError(repr(InvalidRequestError()))


async def test_a_group_is_joined_again_by_a_new_consumer_when_the_broker_refuses_the_rest_of_a_join() -> None:
    subscriber = Subscriber(refused(), refused())
    await join(subscriber)
    assert (subscriber.begun, subscriber.ended) == (3, 2)


@pytest.mark.parametrize(
    ("errors", "begun"),
    [([refused(), refused(), refused()], 3), ([TopicAuthorizationFailedError()], 1)],
    ids=["refused for good", "trouble of a known kind"],
)
async def test_what_does_not_pass_by_joining_again_ends_the_start(errors: list[Exception], begun: int) -> None:
    subscriber = Subscriber(*errors)
    with pytest.raises(KafkaError):
        await join(subscriber)
    assert subscriber.begun == begun
