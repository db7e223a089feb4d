# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that records its own state, for tests of programs that start others."""


def install_recorder(work, text):
    """Install the Python program TEXT as WORK/bin/recorder. Return the path of the file that replaces RECORD in it."""
    path = work / "record"
    path.touch()
    path.chmod(0o666)
    recorder = work / "bin" / "recorder"
    recorder.parent.mkdir()
    recorder.write_text(text.replace("RECORD", repr(str(path))))
    recorder.chmod(0o755)
    return path
