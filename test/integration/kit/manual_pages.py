# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages, as a reader sees them: sections, options, examples; and what --help says to compare them with."""

import re
import subprocess

from .build_options import FSVC, REPOSITORY

PAGES = sorted((REPOSITORY / "doc").glob("*.[1-9]"))
ELSEWHERE = {"fusermount3": "fsvc-fusermount3"}  # that name is libfuse's
HEADER = (REPOSITORY / "include/fuse_service.h").read_text()
OPTION = re.compile(r"(?<![\w.-])(--?[A-Za-z][\w-]*|fsvc\.\w+)")


def applets():
    """What there is, by the executable itself."""
    listed = subprocess.run([FSVC, "--list"], check=True, capture_output=True, text=True).stdout
    return listed.split()


def page(name):
    return REPOSITORY / f"doc/{ELSEWHERE.get(name, name)}.8"


def told(name):
    """What --help says; "fsvc" is the executable itself."""
    command = [FSVC, "--help"] if name == "fsvc" else [FSVC, name, "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def offered(name):
    """The options that --help has a line for."""
    lines = re.findall(r"^  (-.*?)(?:  |$)", told(name), re.MULTILINE)
    return {option for line in lines for option in OPTION.findall(line)}


def plain(text):
    """Without the escapes of characters."""
    for escape, character in ("\\-", "-"), ("\\&", ""), ("\\(aq", "'"), ("\\e", "\\"):
        text = text.replace(escape, character)
    return text


def sections(path):
    """By title, the lines of each section."""
    found, lines = {}, []
    for line in path.read_text().splitlines():
        if line.startswith(".SH "):
            lines = found.setdefault(line[4:].strip('"'), [])
        else:
            lines.append(line)
    return found


def examples(path):
    """Blocks that are shown as they are typed, but for the synopsis."""
    blocks = []
    for title, lines in sections(path).items():
        inside = None
        for line in lines if title != "SYNOPSIS" else []:
            if line in (".nf", ".EX"):
                inside = []
            elif line in (".fi", ".EE"):
                blocks.append(plain("\n".join(inside)) + "\n")
                inside = None
            elif inside is not None:
                inside.append(line)
    return blocks


def documented(name):
    """The options that the page has a paragraph for: what stands behind .TP or .TQ."""
    heads = re.findall(r"^\.T[PQ]\n\.[BI]+R? (.*)$", plain(page(name).read_text()), re.MULTILINE)
    return {option for head in heads for option in OPTION.findall(head.replace('"', " "))}


def declared():
    """By name, the functions of the header as it declares them, in one line each."""
    # with services, that is: what follows is the stubs
    text = re.sub(r"/\*.*?\*/", "", HEADER.partition("#else /* no services")[0], flags=re.DOTALL)
    prototype = r"^(?:static inline )?((?:struct )?\w+ \**(fuse_service_\w+)\([^;{]*\))(?=;|\s*\{)"
    found = re.findall(prototype, text, re.MULTILINE)
    return {name: squeeze(words) for words, name in found}


def squeeze(prototype):
    return re.sub(r"([(*]) ", r"\1", " ".join(prototype.split()))
