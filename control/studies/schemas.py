"""What studies, receptions and deliveries look like over REST. Accepted and delivered are never the same word."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from control.fleet.ages import SiteAgeItem


class ProgressCounts(BaseModel):
    """Objects, each counted once under the least finished of its deliveries."""

    delivered: int = 0
    """Every destination answered success for the object."""
    waiting: int = 0
    """Some destination has not answered success yet; its node goes on by itself."""
    parked: int = 0
    """Some destination refused it; a person is needed."""
    superseded: int = 0
    """A newer object of the same UID went in its place, and it was delivered nowhere."""


class DestinationItem(ProgressCounts):
    """How far a study is at one destination of one site."""

    site: str
    destination: str


class PatientItem(BaseModel):
    """What a site lets the centre know of a study. Empty where its privacy rule keeps a value back."""

    model_config = ConfigDict(from_attributes=True)

    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    first_received_at: datetime | None = None
    last_received_at: datetime | None = None


class StudySiteItem(PatientItem):
    """A study as one site knows it."""

    site: str
    received: int = 0


class StudyItem(PatientItem, ProgressCounts):
    """A study. The patient's attributes are those of the first of `sites`: the one that received of it last."""

    study_instance_uid: str
    modalities: list[str]
    received: int
    """Different objects in the custody of some node: delivered + waiting + parked + superseded + unrouted."""
    unrouted: int
    """Objects that no route sends anywhere."""
    sites: list[StudySiteItem]
    destinations: list[DestinationItem]


class StudyPage(BaseModel):
    """One page of studies, and how old the answer is for each site."""

    items: list[StudyItem]
    next_cursor: str | None = None
    sites_heard: list[SiteAgeItem]


class RouteReasonItem(BaseModel):
    """Why a route took an object, or did not."""

    route: str
    matched: bool
    reason: str


class DeliveryItem(BaseModel):
    """What one node owes one destination for one reception."""

    destination: str
    state: str
    """gathering | due | sending | verifying | retry_wait | held | delivered | parked | quarantined | discarded |
    superseded"""
    progress: str
    """delivered | waiting | parked | superseded"""
    reason: str
    attempts: int
    dimse_status: int
    changed_at: datetime
    delivered_at: datetime | None
    """When it was first delivered; stays when it was asked for again."""


class ReceptionItem(BaseModel):
    """One arrival of an object at a node. The same object twice is two of these."""

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    sop_class_uid: str
    instance_id: str
    site: str
    node_id: str
    node_name: str
    reported: bool
    """False: so far only a delivery of it was heard of, and where it came from is not known."""
    received_at: datetime | None
    arrival: int
    arrivals: int
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    transfer_syntax_uid: str
    data_set_bytes: int
    policy: str
    reasons: list[RouteReasonItem]
    flags: list[str]
    tags: dict[str, str]
    progress: str
    """delivered | waiting | parked | superseded | unrouted"""
    deliveries: list[DeliveryItem]


class ReceptionPage(BaseModel):
    """One page of receptions, the oldest first."""

    items: list[ReceptionItem]
    next_cursor: str | None = None
    sites_heard: list[SiteAgeItem]


class StudyTrace(BaseModel):
    """A study with every reception of its objects, the oldest first."""

    study: StudyItem
    instances: list[ReceptionItem]
    next_cursor: str | None = None
    sites_heard: list[SiteAgeItem]
