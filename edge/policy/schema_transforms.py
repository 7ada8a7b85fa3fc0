"""The shape of transforms in a policy document; see `edge/policy/schema.py` for how descriptions are used."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.policy.schema_names import Name, Strict

Tag = Annotated[
    str,
    Field(
        max_length=100,
        description="a keyword of the DICOM dictionary, such as AccessionNumber, or a tag as (gggg,eeee)",
    ),
]
Text = Annotated[str, Field(max_length=10240, description="a text; write numbers in quotes")]


class SetModel(Strict):
    """This value, whether there was one or not."""

    tag: Tag
    value: Text


class TagModel(Strict):
    """An attribute that a step is about."""

    tag: Tag


class CopyModel(Strict):
    """The value of one attribute in another, when there is one."""

    from_: Tag = Field(alias="from")
    to: Tag


class MapModel(Strict):
    """Another value for each of these."""

    tag: Tag
    table: dict[str, Text] = Field(min_length=1, description='a group of values, such as {"OLD": "NEW"}')
    otherwise: Text = Field(
        default="fail", description="`fail`, `keep`, `remove`, or the value for whatever is not in the table"
    )


class RegexModel(Strict):
    """What a pattern finds, replaced."""

    tag: Tag
    pattern: Text = Field(description="a regular expression, best in single quotes")
    replace: Text = Field(description="what stands there instead; \\1 is the first group")


class StepModel(Strict):
    """One step: exactly one of these keys."""

    set_: SetModel | None = Field(default=None, alias="set", description="a group of keys: tag and value")
    remove: TagModel | None = Field(default=None, description="a group of keys: tag")
    copy_: CopyModel | None = Field(default=None, alias="copy", description="a group of keys: from and to")
    hash: TagModel | None = Field(default=None, description="a group of keys: tag")
    map: MapModel | None = Field(default=None, description="a group of keys: tag, table, otherwise")
    regex: RegexModel | None = Field(default=None, description="a group of keys: tag, pattern, replace")
    prefix: SetModel | None = Field(default=None, description="a group of keys: tag and value")
    charset: Literal["utf-8"] | None = Field(default=None, description="`utf-8`")
    remove_private: bool | list[str] | None = Field(
        default=None, description="`true`, or a list of the creators whose attributes stay"
    )


class TransformModel(Strict):
    """Steps under a name, for destinations to use."""

    name: Name
    steps: list[StepModel] = Field(min_length=1, description="a list of one or more steps, such as [{charset: utf-8}]")


TransformNames = Annotated[
    list[Name], Field(description="a list of names of transforms, applied in order to what is sent there")
]
