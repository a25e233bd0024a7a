"""How fast a worker trains, from the moments at which its epochs end."""

from study.view.cost import Speed, images_of


def test_speed_is_that_of_the_newest_epoch() -> None:
    """What lies between two trials does not count."""
    now = [0.0]
    speed = Speed(1000, lambda: now[0])
    assert speed.images_per_s is None
    for begins_at, ends_at, wanted in ((5.0, 7.0, 500.0), (100.0, 110.0, 100.0)):
        now[0] = begins_at
        speed.begin()
        now[0] = ends_at
        speed.epoch_ended(0)
        assert speed.images_per_s == wanted
    speed.epoch_ended(1)
    assert speed.images_per_s == wanted


def test_epochs_of_an_earlier_attempt_have_no_speed() -> None:
    """They are reported again at once, and nothing was trained for it."""
    now = [0.0]
    speed = Speed(1000, lambda: now[0])
    speed.begin(1)
    for epoch, ends_at, wanted in ((0, 3.0, None), (1, 3.001, None), (2, 5.001, 500.0)):
        now[0] = ends_at
        speed.epoch_ended(epoch)
        assert speed.images_per_s == wanted


def test_speed_of_who_knows_no_images_is_unknown() -> None:
    """An objective without rows, and a finalize, whose trainings have rows of their own."""
    speed = Speed(None)
    speed.begin()
    speed.epoch_ended(0)
    assert speed.images_per_s is None

    class Data:
        train = (1, 2, 3)

    assert images_of(Data(), refits=False) == 3
    assert images_of(Data(), refits=True) is None
    assert images_of(None, refits=False) is None
    assert images_of(object(), refits=False) is None
