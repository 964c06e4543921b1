import numpy as np

from mfdet.visualization import contact_sheet, draw_boxes, titled


def test_small_images_are_enlarged_and_large_ones_kept():
    assert draw_boxes(np.zeros((100, 150, 3), np.uint8), [], [], ['a']).shape == (400, 600, 3)
    assert draw_boxes(np.zeros((400, 500, 3), np.uint8), [], [], ['a']).shape == (400, 500, 3)


def test_boxes_stand_where_they_should():
    image = np.zeros((400, 400, 3), np.uint8)
    drawn = draw_boxes(image, [[100, 200, 300, 350]], [0], ['cat'], [0.5])
    assert drawn[350, 200].any()  # lower edge
    assert drawn[275, 100].any()  # left edge
    assert not drawn[275, 200].any()  # inside
    assert not image.any()  # the input stays as it was


def test_a_class_name_with_a_lone_surrogate_is_drawn_in_letters():
    image = np.zeros((400, 400, 3), np.uint8)
    escaped, other = (draw_boxes(image, [[50, 50, 90, 90]], [0], [name]) for name in ('\udce9', r'\udce9'))
    np.testing.assert_array_equal(escaped, other)


def test_labels_stay_inside_the_image():
    image = np.zeros((400, 400, 3), np.uint8)
    drawn = draw_boxes(image, [[-10, -10, 20, 20], [390, 390, 420, 420]], [0, 1], ['a class', 'another'])
    assert (drawn[:30, :60].any(-1)).sum() > 300
    assert (drawn[330:, 330:].any(-1)).sum() > 300


def test_sheet_tiles_left_to_right():
    images = [np.full((10, 20, 3), value, np.uint8) for value in (1, 2, 3)]
    sheet = contact_sheet(images, columns=2)
    assert [sheet[0, 0, 0], sheet[0, 28, 0], sheet[18, 0, 0], sheet[18, 28, 0]] == [1, 2, 3, 255]
    assert titled(images[0], 'x').shape == (34, 20, 3)


def test_long_images_are_not_enlarged_without_bound():
    drawn = draw_boxes(np.zeros((1, 3000, 3), np.uint8), [[0, 0, 3000, 1]], [0], ['line'])
    assert drawn.shape == (1, 3000, 3)


def test_a_side_at_the_edge_of_the_image_is_seen():
    drawn = draw_boxes(np.zeros((400, 400, 3), np.uint8), [[100, 100, 400, 400]], [0], ['part'])
    assert drawn[250, 398:].any()
    assert drawn[398:, 250].any()
