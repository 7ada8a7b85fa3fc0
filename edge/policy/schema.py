"""The shape of a policy document, format 1: the source of both the JSON Schema and the words of the diagnostics.

Each field's description completes the sentence "`field` must be …".
"""

from __future__ import annotations

import json
import sys
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.model import DEFAULT_CALLING_AE_TITLE, DEFAULT_TEMPLATE
from edge.policy.schema_budgets import BudgetModel, BudgetName
from edge.policy.schema_destinations import KINDS, DicomWebDestinationModel, S3DestinationModel, Template
from edge.policy.schema_groups import BalanceModel, FailoverModel
from edge.policy.schema_names import Name
from edge.policy.schema_tls import TLS, TlsModel
from edge.policy.schema_transforms import TransformModel, TransformNames
from edge.policy.schema_waiting import WAIT, Waiting
from edge.policy.schema_window import WINDOW, WindowModel
from edge.vocabulary import ATTRIBUTES
from mesh.pools import PoolModel

FORMAT = 1

# PS3.5 Table 6.2-1, AE: at most 16 characters of the default repertoire without backslash; spaces around do not count.
AeTitle = Annotated[
    str,
    Field(
        pattern=r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$",
        description="an AE title: 1 to 16 ASCII characters without backslash",
    ),
]
# Editors offer the list; an unknown keyword is reported with a suggestion by the second check, not by the shape.
Keyword = Annotated[
    str,
    Field(
        description="the keyword of an attribute, such as StudyInstanceUID",
        json_schema_extra={"enum": list(ATTRIBUTES)},
    ),
]


_PERCENT, _PART = r"^[1-9][0-9]%$", "a part of the disk from 10% to 99%, such as 80%"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DicomDestinationModel(_Strict):
    """A peer that takes C-STORE."""

    name: Name
    kind: Literal["dicom"] = Field(description=KINDS)
    ae_title: AeTitle
    host: str = Field(
        pattern=r"^[^\s/@]+$", max_length=253, description="a host name or an IP address, without port or slashes"
    )
    port: int = Field(ge=1, le=65535, description="a port number from 1 to 65535")
    calling_ae_title: AeTitle = Field(
        default=DEFAULT_CALLING_AE_TITLE,
        description="an AE title: 1 to 16 ASCII characters without backslash; `source` is that of the sender",
    )
    associations: int = Field(
        default=2, ge=1, le=16, description="a number of associations at the same time, from 1 to 16"
    )
    tls: TlsModel | None = Field(default=None, description=TLS)
    syntax: Literal["as_is", "decompress"] = Field(
        default="as_is", description="`as_is` or `decompress`; `as_is` when left out"
    )
    verify: Literal["none", "find"] = Field(
        default="none", description="`none` or `find` (C-FIND after sending); `none` when left out"
    )
    transforms: TransformNames = Field(default_factory=list)
    window: WindowModel | None = Field(default=None, description=WINDOW)
    budget: BudgetName


class FolderDestinationModel(_Strict):
    """A mounted folder that takes Part 10 files."""

    name: Name
    kind: Literal["folder"] = Field(description=KINDS)
    path: str = Field(pattern=r"^/[^\x00]*$", max_length=4000, description="an absolute path, beginning with /")
    template: Template = DEFAULT_TEMPLATE
    transforms: TransformNames = Field(default_factory=list)
    window: WindowModel | None = Field(default=None, description=WINDOW)
    budget: BudgetName


class RouteModel(_Strict):
    """Where instances go that meet a condition."""

    name: Name
    when: str | None = Field(
        default=None,
        max_length=8000,
        description="a condition in CEL, at most 8000 characters; leave `when` out to match always",
    )
    to: list[Name] = Field(min_length=1, description="a list of one or more names of destinations, such as [pacs]")
    priority: Literal["stat", "normal", "bulk"] = Field(
        default="normal", description="`stat`, `normal` or `bulk`; `normal` when left out"
    )
    wait: Waiting | None = Field(default=None, description=WAIT)


class RetentionModel(_Strict):
    """How long delivered instances stay on the edge."""

    keep_delivered: str = Field(
        default="24h",
        pattern=r"^[0-9]{1,6}[smhd]$",
        description="a duration: a whole number and one of s, m, h, d, such as 24h",
    )
    keep_recent: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,6}[smhd]$",
        description="a duration: a whole number and one of s, m, h, d, such as 14d",
    )
    high_water: str | None = Field(default=None, pattern=_PERCENT, description=_PART)
    low_water: str | None = Field(default=None, pattern=_PERCENT, description=_PART)


class PrivacyModel(_Strict):
    """What the control plane may learn of an instance."""

    share: list[Keyword] | None = Field(
        default=None, description="a list of attributes; `[]` shares none, leaving it out shares the default"
    )
    pseudonymise: list[Keyword] = Field(
        default_factory=list, description="a list of attributes that leave the site only as a keyed hash"
    )


DestinationModel = Annotated[
    DicomDestinationModel
    | FolderDestinationModel
    | DicomWebDestinationModel
    | S3DestinationModel
    | FailoverModel
    | BalanceModel,
    Field(discriminator="kind"),
]


class PolicyModel(_Strict):
    """A Skerry policy: where instances go, how long they stay, and what may be told of them."""

    skerry: Literal[1] = Field(description="the document format, 1")
    destinations: list[DestinationModel] = Field(description="a list of destinations, `[]` for none")
    transforms: list[TransformModel] = Field(default_factory=list, description="a list of transforms, `[]` for none")
    routes: list[RouteModel] = Field(description="a list of routes, `[]` for none")
    zone: str = Field(default="", max_length=64, description="a time zone of the IANA database, such as Europe/Berlin")
    duplicates: Literal["keep-both", "replace", "refuse"] = Field(
        default="keep-both", description="`keep-both`, `replace` or `refuse`"
    )
    budgets: list[BudgetModel] = Field(
        default_factory=list, description="a list of budgets, such as [{name: wan, per_second: 2MB}]"
    )
    pools: list[PoolModel] = Field(
        default_factory=list, max_length=16, description="a list of HAProxy pools, `[]` for none"
    )
    retention: RetentionModel = Field(
        default_factory=RetentionModel, description="a group of keys, such as {keep_delivered: 24h}"
    )
    privacy: PrivacyModel = Field(
        default_factory=PrivacyModel, description="a group of keys, such as {pseudonymise: [PatientID]}"
    )


def json_schema() -> str:
    """The published JSON Schema, as text."""
    schema = PolicyModel.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Skerry policy, format 1"
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
