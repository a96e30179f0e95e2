"""Which statements a reader may ask that sees only part of the tables.

Its session uses a database that holds its views and nothing else; here it is held to that database. Looked at is the
statement as the engine's own parser understood it: its text without comments, needless quotes and literals, in which
every name stands, and its tree, which tells a table function from a function.
"""

import re
from collections.abc import Collection

_QUOTED = re.compile(r"`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'", re.DOTALL)
_READS = re.compile(r"\(*(SELECT|WITH)\b")
_ASKS_WHAT_THERE_IS = re.compile(r"SHOW TABLES|(DESCRIBE|EXISTS)( TABLE| VIEW)? \w+")
_HARMLESS = re.compile(r"\bsystem\.(one|settings|functions|time_zones|data_type_families|keywords)\b(?![.`])")
_FORBIDDEN = re.compile(
    r"\b(apply|dict[a-z0-9]*|joinget\w*|hascolumnintable|catboostevaluate|showcertificate|getserversetting|getmacro"
    r"|merge_tree_\w+|explain)\b",
    re.IGNORECASE,
)
_NAME_AS_PARAMETER = re.compile(r"\{\s*\w+\s*:\s*Identifier\s*\}", re.IGNORECASE)
_CALLED_AS_TABLE = re.compile(r"^( *)TableExpression.*\n\1 Function (\S+)", re.MULTILINE)
NUMBERS = frozenset({"numbers", "generate_series", "generateSeries"})
"""Table functions that read nothing."""


def words_of(plain: str) -> str:
    """A formatted statement without what its literals say. A name in backticks may hold an apostrophe."""
    return _QUOTED.sub(lambda found: "''" if found[0].startswith("'") else found[0], plain)


def why_not(plain: str, databases: Collection[str], table_functions: Collection[str]) -> str | None:
    """What keeps a formatted statement from being answered; None for nothing.

    `databases` are all but the reader's own, `table_functions` all that are no functions as well.
    """
    words = words_of(plain)
    if _ASKS_WHAT_THERE_IS.fullmatch(words):
        return None
    if not _READS.match(words):
        return f"Only SELECT is answered here, not {words.split(' ')[0]}"
    if (found := _FORBIDDEN.search(words)) is not None:
        return f"{found[0]} is not answered here"
    if _NAME_AS_PARAMETER.search(words):
        return "Names are no parameters here"
    named = re.compile(rf"(?<![\w.])`?({'|'.join(map(re.escape, databases))})`?\s*\.", re.IGNORECASE)
    if databases and (found := named.search(_HARMLESS.sub("", words))) is not None:
        return f"Tables are named without a database here, not in {found[1]}"
    called = re.compile(rf"(?<![\w`])`?({'|'.join(map(re.escape, table_functions))})`?\s*\(", re.IGNORECASE)
    if table_functions and (found := called.search(words)) is not None:
        return f"The table function {found[1]} is not answered here"
    return None


def table_functions(tree: str) -> set[str]:
    """The table functions of a statement by its tree (EXPLAIN AST), parametrized views among them."""
    return {name for _, name in _CALLED_AS_TABLE.findall(tree)}
