"""One frame decoded: by GDCM, or RLE by pydicom. Only the process of `work.py` comes here, and loads them by need."""

from __future__ import annotations

from typing import Any

from edge.forward.decoding.codestream import Codestream
from edge.forward.decoding.image import Image
from edge.transform.failure import Impossible

_PIXEL_DATA = (0x7FE0, 0x0010)


class CodecMissing(Exception):
    """The extra that brings GDCM is not installed."""


def rle(frame: bytes, image: Image) -> bytes:
    """An RLE frame (PS3.5 Annex G), its samples in planes."""
    from pydicom.pixels.decoders.rle import _rle_decode_frame

    return bytes(_rle_decode_frame(frame, image.rows, image.columns, image.samples, image.allocated, ">"))


class Gdcm:
    """JPEG, JPEG-LS and JPEG 2000, without numpy, which would cost each process of a node 30 MB."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        """Raises CodecMissing."""
        try:
            import gdcm
        except ImportError:
            raise CodecMissing from None
        self._gdcm: Any = gdcm
        self._syntax = gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax_uid))

    def decode(self, frame: bytes, image: Image, stream: Codestream, *, ybr: bool, to_rgb: bool) -> bytes:
        """The samples of a frame, beside each other, in as many bytes as the data set says.

        Raises:
            Impossible: the library gives less than a frame.
        """
        if stream.precision > 16:
            raise Impossible("its pixels have a depth that no codec here knows")
        wide = stream.precision > 8
        samples = self._samples(frame, image, stream, ybr=ybr)
        if len(samples) != image.rows * image.columns * image.samples * (1 + wide):
            raise Impossible("a frame of it cannot be decoded")
        if to_rgb:
            samples = self._to_rgb(samples, image)
        if image.allocated == 16 and not wide:
            room = bytearray(2 * len(samples))
            room[::2] = samples
            return bytes(room)
        return samples

    def _samples(self, frame: bytes, image: Image, stream: Codestream, *, ybr: bool) -> bytes:
        gdcm = self._gdcm
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(frame)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
        element.SetValue(fragments.__ref__())
        # Told what the samples are, it leaves them so.
        colours = "MONOCHROME2" if image.samples == 1 else "YBR_FULL_422" if ybr else "RGB"
        if image.interpretation in ("YBR_ICT", "YBR_RCT"):
            colours = image.interpretation
        picture = self._picture(image, stream.precision, colours, element, self._syntax)
        try:
            return _bytes(picture.GetBuffer())
        except Exception:
            raise Impossible("a frame of it cannot be decoded") from None

    def _to_rgb(self, samples: bytes, image: Image) -> bytes:
        gdcm = self._gdcm
        element = gdcm.DataElement(gdcm.Tag(*_PIXEL_DATA))
        element.SetByteStringValue(samples)
        plain = gdcm.TransferSyntax(gdcm.TransferSyntax.ExplicitVRLittleEndian)
        picture = self._picture(image, 8, "YBR_FULL", element, plain)
        picture.thisown = False  # the filter counts references, begins at none, and deletes it with the last
        change = gdcm.ImageChangePhotometricInterpretation()
        change.SetInput(picture)
        change.SetPhotometricInterpretation(self._colours("RGB"))
        if not change.Change():
            raise Impossible("the colours of a frame cannot be computed")
        return _bytes(change.GetOutput().GetBuffer())

    def _picture(self, image: Image, precision: int, colours: str, element: object, syntax: object) -> Any:
        gdcm = self._gdcm
        picture = gdcm.Image()
        picture.SetNumberOfDimensions(2)
        picture.SetDimensions((image.columns, image.rows, 1))
        picture.SetDataElement(element)
        picture.SetPhotometricInterpretation(self._colours(colours))
        if image.samples > 1:
            picture.SetPlanarConfiguration(0)
        picture.SetTransferSyntax(syntax)
        allocated = 8 if precision <= 8 else 16
        signed = int(image.signed)
        picture.SetPixelFormat(gdcm.PixelFormat(image.samples, allocated, precision, precision - 1, signed))
        return picture

    def _colours(self, name: str) -> object:
        kinds = self._gdcm.PhotometricInterpretation
        return kinds(kinds.GetPIType(name))


def _bytes(text: str) -> bytes:
    """The wrapper gives what is a C string for it."""
    return text.encode("utf-8", "surrogateescape")
