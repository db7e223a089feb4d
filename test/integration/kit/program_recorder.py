# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program that writes down what it finds itself to be, for those who start other programs."""


def install_recorder(work, text):
    """WORK/bin/recorder, of TEXT in Python, in which RECORD stands for the file that this returns."""
    path = work / "record"
    path.touch()
    path.chmod(0o666)
    recorder = work / "bin" / "recorder"
    recorder.parent.mkdir()
    recorder.write_text(text.replace("RECORD", repr(str(path))))
    recorder.chmod(0o755)
    return path
