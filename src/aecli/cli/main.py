"""The `ae` command: its subcommands, each imported when it is named, and the translation of errors."""

import atexit
import errno
import gc
import importlib
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from aecli import __version__
from aecli.cli.suggestions import Group, explain_option
from aecli.cli.variables import COMPLETION, PREFIX, blame_variable, name_variables
from aecli.core.errors import AeError, ConfigError, escaped, is_disk_failure, is_memory_failure, warnings_end_nothing

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Command -> the line of help it has in the list. The rest of a command loads when it is used.
COMMANDS = {
    "check": "Look at images before training on them.",
    "suggest": "Write the config that suits images, with its reasons.",
    "train": "Train an autoencoder on your images and write a run.",
    "compare": "Compare activations, code lengths or any config key.",
    "verify": "Train a run again and say whether it comes out identical.",
    "export": "Write the autoencoder of a run for other programs: ONNX, LiteRT, ...",
    "reconstruct": "Reconstruct images with a run; write, measure and draw them.",
    "encode": "Write the latents of images.",
    "decode": "Write the images of latents.",
    "compress": "Write images in few bytes each, and say what other codecs take.",
    "decompress": "Write the images of what ae compress wrote.",
    "sample": "Draw new images with a run, and measure how much they reach.",
    "score": "Tell strange images from normal ones: a score and a verdict each.",
    "evaluate": "Measure a run on images, beside the mean image and PCA.",
    "probe": "Classify labelled images by their latents, and by PCA.",
    "plot": "Draw a picture of a run: reconstructions, history, ...",
    "report": "Make the HTML page of a study or a run.",
    "import": "Make an .npy of a folder of pictures, IDX, .npz, ...",
    "config": "Show, start or describe a config.",
    "runs": "List the runs here.",
    "cache": "Show or clear what was decoded and unpacked.",
    "doctor": "Say what this machine offers, and what would stop ae.",
    "completion": "Print what completes commands, keys and runs in a shell.",
}


class Commands(Group):
    """A group that imports a command's module only when it runs, and makes our errors the user's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"aecli.cli.commands.{name}").command
        name_variables(command, f"{PREFIX}_{name}")
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings_end_nothing():
                return super().invoke(ctx)
        except click.NoSuchOption as error:
            raise explain_option(error) from error
        except click.BadParameter as error:
            blame_variable(error)
            raise
        except AeError as error:
            for line in error.problems if isinstance(error, ConfigError) else [str(error)]:
                _say(line)
            ctx.exit(1)
        except (MemoryError, ImportError) as error:
            if not is_memory_failure(error):
                raise
            _say("memory: there is not enough for this: free some, raise the limit (ulimit -v), or give smaller images")
            ctx.exit(1)
        except OSError as error:
            if error.filename is None:
                raise
            if error.errno == errno.ENAMETOOLONG:
                _say(f"{str(error.filename)[:60]}...: the name is too long: give a shorter one")
            elif is_disk_failure(error):
                _say(f"{os.fsdecode(error.filename)}: {error.strerror}: check its permissions and the disk")
            else:
                raise
            ctx.exit(1)


_LONGEST_LINE = 900
"""Characters of an error; of a longer one the middle is left out."""


def _say(line: str) -> None:
    """Print an error: a name with a newline in it must not look like two, nor one with an escape paint the screen."""
    text = escaped(" ".join(line.splitlines()))
    if len(text) > _LONGEST_LINE:
        text = f"{text[: _LONGEST_LINE // 2]} ... {text[-_LONGEST_LINE // 2 :]}"
    click.echo(f"ae: {text}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="ae")
def cli() -> None:
    """Train image autoencoders on your own images and see how well they reconstruct.

    Start with `ae train IMAGES`, then `ae reconstruct IMAGES` and `ae plot`.

    Every option has an environment variable too: AE_TRAIN_DEVICE=cpu is ae train --device cpu.
    """


def main() -> NoReturn:
    """Run the command line; Ctrl-C ends it quietly."""
    _open_standard_files()
    # What is imported is no garbage: looking for it took a tenth of a short training.
    gc.set_threshold(100_000, 20, 100)
    if COMPLETION in os.environ:
        importlib.import_module("aecli.cli.shells")  # which click asks then
    try:
        code = cli.main(prog_name="ae", standalone_mode=False)
        _leave(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        _leave(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _leave(130)
    except OSError as error:
        if not _is_of_output(error):
            raise
        _leave(1, error)


def _open_standard_files() -> None:
    """Open /dev/null where the process was started without one of the three, lest another file take its number."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)  # as these three are
    os.close(number)
    sys.stdout = sys.stdout or open(os.devnull, "w", errors="backslashreplace")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", errors="backslashreplace")  # noqa: SIM115


def _is_of_output(error: OSError) -> bool:
    """Whether printing failed: files have names, the standard output has none."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EDQUOT)


def _leave(code: int, failed: OSError | None = None) -> NoReturn:
    """End the process without taking apart all that was imported, which would cost a tenth of a second."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except OSError as error:
        failed = failed or error
    with suppress(OSError):
        # Where the reader of the output has left, there is nobody to report to.
        if failed is not None and failed.errno != errno.EPIPE:
            _say(f"standard output: cannot be written ({failed.strerror}): see where it goes")
        sys.stderr.flush()
    os._exit(code or (1 if failed else 0))


if __name__ == "__main__":
    main()
