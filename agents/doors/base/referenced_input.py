"""The input of a response, with stored items in the places that refer to them."""

from collections.abc import Sequence

from agents.runtime.context.input_items import ItemReference, read_input, under_new_id
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import RunStore
from kernel.errors import NotFound


async def read_whole_input(
    value: str | Sequence[Json], *, tenant_id: int, runs: RunStore
) -> tuple[Item, ...]:
    """The items that a client sent or referred to.

    Raises InvalidParameter, and NotFound, the same for another tenant's item as for none.
    """
    items = read_input(value)
    wanted = [item.id for item in items if isinstance(item, ItemReference)]
    stored = await runs.load_items(tenant_id, wanted) if wanted else {}
    found: list[Item] = []
    for item in items:
        if not isinstance(item, ItemReference):
            found.append(item)
        elif item.id in stored:
            found.append(under_new_id(stored[item.id]))
        else:
            raise NotFound(
                f"{item.place}: there is no stored item {item.id[:100]!r} here. "
                "Send the item itself.",
                param=f"{item.place}.id",
            )
    return tuple(found)
