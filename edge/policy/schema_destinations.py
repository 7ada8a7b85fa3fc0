"""The shape of destinations that are spoken to over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edge.model import DEFAULT_TEMPLATE
from edge.policy.schema_budgets import BudgetName
from edge.policy.schema_names import Name, Strict
from edge.policy.schema_transforms import TransformNames
from edge.policy.schema_window import WINDOW, WindowModel

KINDS = "`dicom`, `folder`, `dicomweb`, `s3`, `failover` or `balance`"

# The length stands beside the pattern: as `{0,1000}` within it, the compiled pattern takes megabytes.
_URL = r"^https?://[^\s/?#@\\]+(/[^\s?#\\]*)?$"
Template = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        description=f"a template of 1 to 500 characters, such as {DEFAULT_TEMPLATE}",
    ),
]
FileName = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="the name of a file in the node's credentials: 1 to 64 letters, digits, `.`, `_` or `-`",
    ),
]


class DicomWebDestinationModel(Strict):
    """A service that takes STOW-RS."""

    name: Name
    kind: Literal["dicomweb"] = Field(description=KINDS)
    url: str = Field(
        pattern=_URL,
        max_length=1024,
        description="the service root, such as https://pacs.example/dicom-web, without user, question mark or #",
    )
    credentials: FileName = None
    ca: FileName = None
    verify: Literal["none", "qido"] = Field(
        default="none", description="`none` or `qido` (QIDO-RS after sending); `none` when left out"
    )
    transforms: TransformNames = Field(default_factory=list)
    window: WindowModel | None = Field(default=None, description=WINDOW)
    budget: BudgetName


class S3DestinationModel(Strict):
    """A bucket of any S3 service."""

    name: Name
    kind: Literal["s3"] = Field(description=KINDS)
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="the name of a bucket: 3 to 63 lower-case letters, digits, `.` or `-`",
    )
    endpoint: str | None = Field(
        default=None,
        pattern=_URL,
        max_length=1024,
        description="the URL of the service, such as https://s3.example:9000",
    )
    region: str | None = Field(
        default=None, pattern=r"^[a-z0-9-]{1,40}$", description="the name of a region, such as eu-central-1"
    )
    key: Template = DEFAULT_TEMPLATE
    credentials: FileName = None
    transforms: TransformNames = Field(default_factory=list)
    window: WindowModel | None = Field(default=None, description=WINDOW)
    budget: BudgetName
