"""OpenVINO's Core, one for the whole process."""

import functools


@functools.cache
def openvino_core():
    """Return the ``openvino.Core`` of this process.

    A Core gives the thread that compiles a model a stack for signals, takes it away when it goes, and puts back the one
    before, which may be of another Core that has gone. After two of them, the next signal (Ctrl-C, or the end of a
    child process) would end Python with a segmentation fault and no message. So there is one, and it stays.
    """
    import openvino

    return openvino.Core()
