"""A page that says what is wrong with a detector and what to do, from results in the COCO format; needs no torch."""
