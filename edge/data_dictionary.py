"""The DICOM data dictionary (PS3.6 chapter 6), loaded when it is first asked.

The library that holds it costs a process 10 MB; a node whose policy has no transforms never asks.
"""

from __future__ import annotations

from collections.abc import Iterable


def dictionary_vr(tag: int) -> str:
    """The VR of a standard attribute, `US or SS` where it depends.

    Raises:
        KeyError: the dictionary does not know it.
    """
    from pydicom.datadict import dictionary_VR

    return dictionary_VR(tag)


def private_dictionary_vr(tag: int, creator: str) -> str:
    """The VR of a private attribute that is widely known.

    Raises:
        KeyError: the dictionary does not know it.
    """
    from pydicom.datadict import private_dictionary_VR

    return private_dictionary_VR(tag, creator)


def tag_of_keyword(keyword: str) -> int | None:
    """The group and element number that a keyword stands for."""
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword)


def keyword_of_tag(tag: int) -> str:
    """The keyword of an attribute, empty when it has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag)


def keywords() -> Iterable[str]:
    """All keywords."""
    from pydicom.datadict import keyword_dict

    return filter(None, keyword_dict)
