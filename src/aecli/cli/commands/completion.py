"""`ae completion`"""

import click

from aecli.cli.suggestions import Choice

_USES = {
    "bash": 'in ~/.bashrc: eval "$(ae completion bash)"',
    "zsh": 'in ~/.zshrc, after compinit: eval "$(ae completion zsh)"',
    "fish": "once: ae completion fish > ~/.config/fish/completions/ae.fish",
}


@click.command("completion")
@click.argument("shell", type=Choice([*_USES]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, configs, keys and runs in a shell.

    \b
      bash  in ~/.bashrc: eval "$(ae completion bash)"
      zsh   in ~/.zshrc, after compinit: eval "$(ae completion zsh)"
      fish  once: ae completion fish > ~/.config/fish/completions/ae.fish
    """
    from click.shell_completion import get_completion_class

    from aecli.cli.shells import VARIABLE

    complete = get_completion_class(shell)
    assert complete is not None
    script = complete(ctx.find_root().command, {}, "ae", VARIABLE).source()
    # The first line of a script for zsh says to zsh what it completes.
    click.echo(f"{script.rstrip()}\n# {_USES[shell]}")
