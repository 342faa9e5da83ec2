"""Files that strangers upload."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mmspanet.app import uploads
from mmspanet.app.examples import copy_examples
from mmspanet.app.uploads import Upload
from mmspanet.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), dtype=np.uint8)


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return Upload(path)

    return write_file


def png(image):
    return cv2.imencode('.png', image)[1].tobytes()


def test_an_image_is_read_as_opencv_reads_it(write):
    (image,) = write('a.PNG', png(PIXELS[0])).images()
    np.testing.assert_array_equal(image, PIXELS[0])


def test_a_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x112] = 6  # turn by 90 degrees
    Image.fromarray(PIXELS[0]).save(tmp_path / 'a.jpg', exif=exif)
    (image,) = Upload(tmp_path / 'a.jpg').images()
    assert image.shape == (60, 40, 3)


@pytest.mark.parametrize(
    ('name', 'content', 'said'),
    [
        ('a.png', b'', 'a.png is broken'),
        ('a.png', b'no image at all', 'a.png is broken'),
        ('a.png', png(PIXELS[0])[:2000], 'a.png is broken'),
        ('a.gif', png(PIXELS[0]), 'a.gif is no image and no video'),
        ('a.svg', b'<svg/>', 'a.svg is no image and no video'),
        ('a.png', png(np.zeros((4, 500, 3), np.uint8)), 'more than 100 to 1: cut it'),
        ('a.mp4', b'no video at all', 'a.mp4 is broken'),
        ('a.webm', png(PIXELS[0])[:2000], 'a.webm is broken'),
    ],
)
def test_what_is_no_image_is_said(write, name, content, said):
    with pytest.raises(InputError, match=said):
        list(write(name, content).images())


def test_more_pixels_than_pillow_opens(write, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)  # twice that is an error
    with pytest.raises(InputError, match='too many pixels: shrink it'):
        list(write('a.png', png(PIXELS[0])).images())


def test_pixels_are_counted_before_they_are_decoded(write, monkeypatch):
    upload = write('a.png', png(PIXELS[0]))
    monkeypatch.setattr(uploads, 'MOST_PIXELS', 40 * 60 - 1)
    monkeypatch.setattr(Image.Image, 'load', lambda image: pytest.fail('decoded'))
    with pytest.raises(InputError, match='60 x 40 pixels are over'):
        list(upload.images())


def test_large_files_are_refused(write, monkeypatch):
    monkeypatch.setattr(uploads, 'MOST_BYTES', 100)
    with pytest.raises(InputError, match='choose a smaller one'):
        list(write('a.png', png(PIXELS[0])).images())


def test_large_images_are_shrunk(write, monkeypatch):
    monkeypatch.setattr(uploads, 'LONGEST_SIDE', 30)
    (image,) = write('a.png', png(PIXELS[0])).images()
    assert image.shape == (20, 30, 3)


def write_video(path, code='mp4v'):
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 12, (60, 40))
    for frame in PIXELS:
        video.write(frame)
    video.release()


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('a.avi', 'MJPG'),
        ('a.m4v', 'mp4v'),
        ('a.mkv', 'MJPG'),
        ('a.mov', 'mp4v'),
        ('a.webm', 'VP80'),
    ],
)
def test_a_video_of_each_kind(tmp_path, name, code):
    write_video(tmp_path / name, code)
    assert len(list(Upload(tmp_path / name).images())) == 6


@pytest.mark.parametrize('name', ['a.avi', 'a.mp4', 'a.webm'])
@pytest.mark.parametrize(
    'playlist',
    [
        '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{}\n#EXT-X-ENDLIST\n',
        'ffconcat version 1.0\nfile {}\n',
    ],
)
def test_a_playlist_shows_no_other_file(tmp_path, write, name, playlist):
    write_video(tmp_path / 'secret.mp4')
    for there in ('secret.mp4', tmp_path / 'secret.mp4'):
        with pytest.raises(InputError, match=f'{name} is broken'):
            list(write(name, playlist.format(there).encode()).images())


def test_a_video_has_so_many_frames(tmp_path, monkeypatch):
    path = tmp_path / 'a.mp4'
    write_video(path)
    upload = Upload(path)
    assert upload.is_video
    assert [frame.shape for frame in upload.images()] == [(40, 60, 3)] * 6
    assert uploads.frame_rate(path) == pytest.approx(12)
    monkeypatch.setattr(uploads, 'MOST_FRAMES', 4)
    assert len(list(upload.images())) == 4


def test_a_file_that_is_gone_is_said(tmp_path):
    with pytest.raises(InputError, match='upload it again'):
        list(Upload(tmp_path / 'a.png').images())


def test_examples_of_one_name_in_two_folders(tmp_path):
    for name in ('a/1.png', 'b/1.png'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / 'to').mkdir()
    copied = copy_examples(tmp_path, tmp_path / 'to')
    assert [path.read_bytes() for path in copied] == [b'a/1.png', b'b/1.png']
