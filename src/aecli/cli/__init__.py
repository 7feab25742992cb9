"""The command line: one file per command, the only folder that imports click or prints."""
