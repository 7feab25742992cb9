"""`ae completion`"""

import click

from aecli.cli.suggestions import Choice
from aecli.cli.variables import COMPLETION

_USES = {
    "bash": 'in ~/.bashrc: eval "$(ae completion bash)"',
    "zsh": 'in ~/.zshrc, after compinit: eval "$(ae completion zsh)"',
    "fish": "once: ae completion fish > ~/.config/fish/completions/ae.fish",
}
_HELP = "Print the script that completes commands, options, configs, keys and runs in a shell.\n\n\b\n"
_HELP += "\n".join(f"{shell:6}{use}" for shell, use in _USES.items())


@click.command("completion", help=_HELP)
@click.argument("shell", type=Choice([*_USES]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    from aecli.cli.shells import COMPLETIONS

    script = COMPLETIONS[shell](ctx.find_root().command, {}, "ae", COMPLETION).source()
    # Below: the first line of a script for zsh says to zsh what it completes.
    click.echo(f"{script.rstrip()}\n# {_USES[shell]}")
