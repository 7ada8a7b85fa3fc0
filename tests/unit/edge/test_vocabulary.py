"""The allow-list of attributes agrees with the DICOM dictionary."""

from __future__ import annotations

import pytest
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from edge.vocabulary import ATTRIBUTES

KIND_OF_VR = {"IS": "integer", "US": "integer", "DS": "decimal"}


@pytest.mark.parametrize("keyword", ATTRIBUTES)
def test_an_attribute_has_the_tag_and_representation_of_the_dictionary(keyword: str) -> None:
    attribute = ATTRIBUTES[keyword]
    assert tag_for_keyword(keyword) == attribute.tag
    assert dictionary_VR(attribute.tag) == attribute.vr
    several = "texts" if dictionary_VM(attribute.tag) != "1" else "text"
    assert attribute.kind == KIND_OF_VR.get(attribute.vr, several)
