"""A page to try detectors on, in the browser; what it shows is made here, gradio lays it out."""
