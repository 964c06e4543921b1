"""A window that shows images, by Python's own tkinter: the headless OpenCV of this project has no windows."""

import contextlib
import time

import cv2

from mfdet.errors import InputError

LARGEST = 0.9  # share of the screen's sides
PAUSE = 0.01  # seconds between two looks at the keyboard


class Window:
    """A window on the screen, there once the first image is shown.

    Args:
        root: ``tkinter.Tk``.

    Attributes:
        closed: whether the user has closed it, or pressed q or Escape.
    """

    def __init__(self, root):
        self._root, self.closed = root, False
        self._label = self._image = None
        root.withdraw()
        root.protocol('WM_DELETE_WINDOW', self._close)
        for key in ('<Key-q>', '<Escape>'):
            root.bind(key, self._close)

    def show(self, image, until=0.0):
        """Show an image, shrunk if the screen is smaller.

        Args:
            image: uint8 (H, W, 3) BGR.
            until: ``time.monotonic()`` to wait for, unless it is closed before.
        """
        import tkinter

        most = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
        factor = min(1.0, *(LARGEST * side / length for side, length in zip(most, image.shape[1::-1], strict=True)))
        if factor < 1:
            image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        # Tk reads PPM by itself. The name is kept, for Tk shows nothing once Python has dropped the image.
        self._image = tkinter.PhotoImage(master=self._root, data=cv2.imencode('.ppm', image)[1].tobytes(), format='PPM')
        if self._label is None:
            self._label = tkinter.Label(self._root, borderwidth=0)
            self._label.pack()
            self._root.deiconify()
        self._label.configure(image=self._image)
        self._root.update()
        while not self.closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, PAUSE))
            self._root.update()

    def _close(self, event=None):
        self.closed = True


@contextlib.contextmanager
def open_window(title):
    """Yield a :class:`Window`.

    Raises:
        InputError: this Python has no tkinter, or there is no display.
    """
    try:
        import tkinter
    except ImportError as error:
        raise InputError(
            "a window needs tkinter, which this Python lacks; Linux distributions have it as python3-tk, and Python's "
            'own installers bring it'
        ) from error
    try:
        root = tkinter.Tk(className='mfdet')
    except tkinter.TclError as error:
        raise InputError(f'there is no display to open a window on ({error})') from error
    root.title(title)
    try:
        yield Window(root)
    finally:
        root.destroy()
