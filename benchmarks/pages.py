"""Write a generated table into a page, between the two comments that mark its place."""

import re


def fill(text: str, name: str, content: str) -> str:
    """The page with ``content`` between ``<!-- table: NAME -->`` and the next ``<!-- end -->``.

    Args:
        text: The page in Markdown.
        name: Name of the place.
        content: What stands there from now on, with its last line break.

    Raises:
        ValueError: If the page does not mark the place exactly once.
    """
    start, end = f'<!-- table: {name} -->\n', '<!-- end -->'
    place = re.compile(re.escape(start) + '.*?' + re.escape(end), re.DOTALL)
    page, found = place.subn(lambda _: start + content + end, text)
    if found != 1:
        raise ValueError(f'The page marks the place {name} {found} times instead of once.')
    return page
