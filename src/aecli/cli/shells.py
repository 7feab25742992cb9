"""Click's completion in bash, zsh and fish, for words such as `KEY=VALUE`, which not every shell takes for one."""

from collections.abc import Mapping
from types import MappingProxyType

from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete
from click.shell_completion import add_completion_class as registered


def _with_option(items: "list[CompletionItem[str]]", incomplete: str) -> "list[CompletionItem[str]]":
    """Return the values of `--option=value` as the whole word, which click completes to the value alone."""
    option, equals, _ = incomplete.partition("=")
    if not (equals and option.startswith("-")):
        return items
    return [CompletionItem(f"{option}={item.value}", type=item.type, help=item.help) for item in items]


class _WholeWords(ShellComplete):
    def get_completions(self, args: list[str], incomplete: str) -> "list[CompletionItem[str]]":
        return _with_option(super().get_completions(args, incomplete), incomplete)


@registered
class Bash(_WholeWords, BashComplete):
    """Bash takes `=` and `:` for words of their own, and completes what stands after the last of them."""

    name = "bash"
    source_template = BashComplete.source_template.replace(
        "COMPREPLY+=($value)", 'COMPREPLY+=("$value"); [[ $value == *= ]] && compopt -o nospace'
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that one, put together again."""
        args, piece = super().get_completion_args()
        words: list[str] = []
        glued = False
        for word in (*args, piece):
            breaks = word in ("=", ":")
            if words and (breaks or glued):
                words[-1] += word
            else:
                words.append(word)
            glued = breaks
        *args, incomplete = words
        typed = "" if glued else piece
        self._there = incomplete.removesuffix(typed)
        return args, incomplete

    def format_completion(self, item: "CompletionItem[str]") -> str:
        """Return a completion without what bash does not complete."""
        return f"{item.type},{item.value.removeprefix(self._there)}"


@registered
class Zsh(_WholeWords, ZshComplete):
    """In zsh, a key is completed without a space after its `=`."""

    name = "zsh"
    source_template = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        "local -a open; open=(${(M)completions:#*=}); completions=(${completions:#*=})\n"
        "        compadd -U -V unsorted -S '' -a open\n"
        "        compadd -U -V unsorted -a completions",
    )


@registered
class Fish(_WholeWords, FishComplete):
    """Fish needs nothing more."""

    name = "fish"


COMPLETIONS: Mapping[str, type[ShellComplete]] = MappingProxyType({"bash": Bash, "zsh": Zsh, "fish": Fish})
