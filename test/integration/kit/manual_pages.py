# SPDX-License-Identifier: LGPL-2.1-or-later
"""The content of manual pages, such as sections, options and examples, and of --help."""

import re
import subprocess

from .build_options import FSVC, REPOSITORY

PAGES = sorted((REPOSITORY / "doc").glob("*.[1-9]"))
PAGE_NAMES = {"fusermount3": "fsvc-fusermount3"}  # the name fusermount3.8 belongs to libfuse
HEADER = (REPOSITORY / "include/fuse_service.h").read_text()
OPTION = re.compile(r"(?<![\w.-])(--?[A-Za-z][\w-]*|fsvc\.\w+)")


def applets():
    """Return the names of all applets."""
    listed = subprocess.run([FSVC, "--list"], check=True, capture_output=True, text=True).stdout
    return listed.split()


def page(name):
    return REPOSITORY / f"doc/{PAGE_NAMES.get(name, name)}.8"


def help_text(name):
    """Return the output of --help. "fsvc" is the executable itself."""
    command = [FSVC, "--help"] if name == "fsvc" else [FSVC, name, "--help"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def help_options(name):
    """Return the options that --help lists."""
    lines = re.findall(r"^  (-.*?)(?:  |$)", help_text(name), re.MULTILINE)
    return {option for line in lines for option in OPTION.findall(line)}


def unescape_roff(text):
    """Replace escaped characters."""
    for escape, character in ("\\-", "-"), ("\\&", ""), ("\\(aq", "'"), ("\\e", "\\"):
        text = text.replace(escape, character)
    return text


def sections(path):
    """Return the lines of each section, by title."""
    found, lines = {}, []
    for line in path.read_text().splitlines():
        if line.startswith(".SH "):
            lines = found.setdefault(line[4:].strip('"'), [])
        else:
            lines.append(line)
    return found


def examples(path):
    """Return all literal blocks, except those in the synopsis."""
    blocks = []
    for title, lines in sections(path).items():
        block = None
        for line in lines if title != "SYNOPSIS" else []:
            if line in (".nf", ".EX"):
                block = []
            elif line in (".fi", ".EE"):
                blocks.append(unescape_roff("\n".join(block)) + "\n")
                block = None
            elif block is not None:
                block.append(line)
    return blocks


def page_options(name):
    """Return the options that the page describes, after .TP or .TQ."""
    heads = re.findall(r"^\.T[PQ]\n\.[BI]+R? (.*)$", unescape_roff(page(name).read_text()), re.MULTILINE)
    return {option for head in heads for option in OPTION.findall(head.replace('"', " "))}


def header_prototypes():
    """Return the prototypes of all functions in the header, by name."""
    # only with services: the rest are stubs
    text = re.sub(r"/\*.*?\*/", "", HEADER.partition("#else /* no services")[0], flags=re.DOTALL)
    pattern = r"^(?:static inline )?((?:struct )?\w+ \**(fuse_service_\w+)\([^;{]*\))(?=;|\s*\{)"
    found = re.findall(pattern, text, re.MULTILINE)
    return {name: normalize_spaces(prototype) for prototype, name in found}


def normalize_spaces(prototype):
    return re.sub(r"([(*]) ", r"\1", " ".join(prototype.split()))
