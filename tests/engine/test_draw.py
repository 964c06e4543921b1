from mfdet.engine.draw import picture_names


def test_pictures_are_named_by_where_their_images_stand():
    paths = {1: '/data/a/x.png', 2: '/data/b/x.png', 3: '/data/b/y.jpg', 4: '/data/b/y.png'}
    assert picture_names(paths) == {1: '1_a_x.jpg', 2: '2_b_x.jpg', 3: '3_b_y.jpg', 4: '4_b_y.jpg'}
    assert picture_names({7: '/data/a/x.png', 8: '/data/a/y.png'}) == {7: 'x.jpg', 8: 'y.jpg'}
    assert picture_names({7: '/data/a/x.png', 8: '/data/b/x.png'}) == {7: 'a_x.jpg', 8: 'b_x.jpg'}
