# SPDX-License-Identifier: LGPL-2.1-or-later
"""Completions of shells, when the tab key is pressed."""

import os
import pty
import re
import subprocess

from .waiting import wait_for


class Shell:
    """A shell with the completions below DIRECTORY, and WORK as its home directory."""

    def __init__(self, directory, work):
        self.work = work
        self.environment = {
            "PATH": f"{directory}/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "XDG_DATA_DIRS": f"{directory}/usr/share:/usr/share",
            "HOME": str(work),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        self.functions = [path.parent for path in directory.rglob("_fsvc")]

    def start(self, *command, **options):
        return subprocess.Popen(command, env=self.environment, cwd=self.work, **options)

    def output(self, *command):
        with self.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            output, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, ""), errors
        return output.splitlines()

    def close(self):
        pass


class Bash(Shell):
    """Calls the completion function that bash-completion finds, with the words of the command line."""

    SCRIPT = """
        . /usr/share/bash-completion/bash_completion
        _completion_loader "$1"
        [[ $(complete -p "$1") =~ -F\\ ([^ ]+) ]] || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        ${BASH_REMATCH[1]} "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
    """

    def complete(self, line):
        words = [word for part in line.split(" ") for word in re.findall("=|[^=]+", part) or [""]]
        return self.output("bash", "--norc", "-c", self.SCRIPT, "bash", *words)


class Fish(Shell):
    def complete(self, line):
        self.environment["LINE"] = line
        return [found.partition("\t")[0] for found in self.output("fish", "-c", 'complete -C "$LINE"')]


class Zsh(Shell):
    """A shell on a terminal, whose function compadd is replaced to record its arguments."""

    SETUP = r"""
        PROMPT= fpath=(FUNCTIONS $fpath)
        autoload -Uz compinit && compinit -u -d $HOME/dump
        compadd() {
            local -a told
            if [[ ${argv[(I)-[OAD]]} -eq 0 ]]; then
                builtin compadd -O told "$@"
                [[ ${#told} -eq 0 ]] || print -rl -- $IPREFIX${^told} >>$HOME/told
            fi
            builtin compadd "$@"
        }
        tell() { zle complete-word; print -r -- "end $BUFFER" >>$HOME/told; BUFFER= }
        zle -N tell
        bindkey '^I' tell
        print ready >$HOME/told
    """

    def __init__(self, directory, work):
        super().__init__(directory, work)
        self.told = work / "told"
        (work / "setup").write_text(self.SETUP.replace("FUNCTIONS", " ".join(map(str, self.functions))))
        self.terminal, slave = pty.openpty()
        self.process = self.start("zsh", "-f", "-i", stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.type(f". {work}/setup\n")
        self.answer("ready")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def answer(self, last):
        """Wait for a line that begins with LAST. Return all lines."""
        def lines():
            lines = self.told.read_text().splitlines() if self.told.exists() else []
            return lines if lines and lines[-1].startswith(last) else None
        return wait_for(lines, what="the answer of zsh")

    def complete(self, line):
        self.told.write_text("")
        self.type(f"{line}\t")
        return self.answer("end")[:-1]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}
