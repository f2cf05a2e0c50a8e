"""DynamoDB's TransactWriteItems on moto's tables, at a cost that does not grow with the table.

moto copies the whole table once for each item of a transaction in order to undo it: a second for a hundred items on a
small table. Here every condition is checked before anything is written, which is also what DynamoDB promises:
all conditions see the state before the transaction, since no item may occur in it twice.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.dynamodb import urls
from moto.dynamodb.comparisons import get_filter_expression
from moto.dynamodb.exceptions import (
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend, dynamodb_backends

if TYPE_CHECKING:
    from types import ModuleType

    from moto.dynamodb.models.dynamo_type import Item

MOST_ACTIONS = 100
"""Of one transaction (DynamoDB's service quota)."""

_OPERATIONS = ("ConditionCheck", "Put", "Delete", "Update")
_CONDITION_FAILED = "The conditional request failed"


class TransactingBackend(DynamoDBBackend):
    """moto's tables with transactions that undo only what they touched."""

    @property
    def _url_module(self) -> ModuleType:
        # moto derives it from the module of the class, which is another one here.
        return urls

    def transact_write_items(self, transact_items: list[dict[str, Any]]) -> None:
        """Write all items or none; raises TransactionCanceledException with one reason for each item."""
        if len(transact_items) > MOST_ACTIONS:
            raise TooManyTransactionsException
        actions = [self._action(item) for item in transact_items]
        touched = {(action["TableName"], repr(sorted(key.items()))) for _, action, key in actions}
        if len(touched) < len(actions):
            raise MultipleTransactionsException
        reasons = [self._refusal(action, key) for _, action, key in actions]
        if any(reason[0] for reason in reasons):
            raise TransactionCanceledException(reasons)
        before: list[tuple[str, dict[str, Any], Item | None]] = []
        try:
            for operation, action, key in actions:
                before.append((action["TableName"], key, copy.deepcopy(self.get_item(action["TableName"], key))))
                self._write(operation, action, key)
        except MockValidationException:
            self._restore(before)
            raise
        except JsonRESTError as error:
            self._restore(before)
            reasons[len(before) - 1] = (type(error).__name__, str(error), None)
            raise TransactionCanceledException(reasons) from None

    def _action(self, item: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The operation, its parameters, and the key of the item that it touches."""
        if len(item) != 1:
            raise TransactWriteSingleOpException
        operation, action = next(iter(item.items()))
        if operation not in _OPERATIONS:
            raise TransactWriteSingleOpException
        table = self.get_table(action["TableName"])
        if operation != "Put":
            return operation, action, action["Key"]
        names = [table.hash_key_attr] + ([table.range_key_attr] if table.range_key_attr else [])
        if missing := [name for name in names if name not in action["Item"]]:
            raise MockValidationException(
                f"One or more parameter values were invalid: Missing the key {missing[0]} in the item"
            )
        return operation, action, {name: action["Item"][name] for name in names}

    def _refusal(
        self, action: dict[str, Any], key: dict[str, Any]
    ) -> tuple[str, str, dict[str, Any] | None] | tuple[None, None, None]:
        """Why the action's condition does not hold: code, message, and the item if that was asked for."""
        condition = action.get("ConditionExpression")
        if condition is None:
            return None, None, None
        current = self.get_item(action["TableName"], key)
        names, values = action.get("ExpressionAttributeNames"), action.get("ExpressionAttributeValues")
        if get_filter_expression(condition, names, values).expr(current):
            return None, None, None
        old = None
        if current is not None and action.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD":
            old = current.to_json()["Attributes"]
        return "ConditionalCheckFailed", _CONDITION_FAILED, old

    def _write(self, operation: str, action: dict[str, Any], key: dict[str, Any]) -> None:
        if operation == "Put":
            self.put_item(action["TableName"], action["Item"])
        elif operation == "Delete":
            self.delete_item(action["TableName"], key)
        elif operation == "Update":
            self.update_item(
                action["TableName"],
                key,
                update_expression=action["UpdateExpression"],
                expression_attribute_names=action.get("ExpressionAttributeNames", {}),
                expression_attribute_values=action.get("ExpressionAttributeValues", {}),
            )

    def _restore(self, before: list[tuple[str, dict[str, Any], Item | None]]) -> None:
        for table_name, key, item in before:
            if item is None:
                self.delete_item(table_name, key)
            else:
                self.put_item(table_name, item.to_json()["Attributes"])


def use_quick_transactions() -> None:
    """Let moto make its tables of this class; to be called before the first request."""
    dynamodb_backends.backend = TransactingBackend
