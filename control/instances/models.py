"""The tables of studies, series and receptions.

Nothing here has a foreign key to a node or a site: what a node once told stays true when the node is gone.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from control.db.base import Base, JsonDocument, TermText, key_text

UidText = key_text(256)
SiteText = key_text(63)


class Study(Base):
    """A study that some site has told of."""

    __tablename__ = "study"

    study_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    """Empty: the objects that name no study."""
    listed_at: Mapped[datetime]
    """When the first object that we heard of was received. Never changes: it orders the pages of a search."""


class StudySite(Base):
    """A study as one site knows it. Two sites may reuse a patient's id, or pseudonymise it with other keys."""

    __tablename__ = "study_site"
    __table_args__ = (
        Index("ix_study_site_listed", "listed_at", "study_instance_uid"),
        Index("ix_study_site_site", "site", "listed_at", "study_instance_uid"),
        Index("ix_study_site_patient_id", "patient_id"),
        Index("ix_study_site_issuer", "issuer_of_patient_id", "listed_at", "study_instance_uid"),
        Index("ix_study_site_name", "patient_name_folded"),
        Index("ix_study_site_birth_date", "patient_birth_date"),
        Index("ix_study_site_accession_number", "accession_number"),
        Index("ix_study_site_study_date", "study_date"),
        Index("ix_study_site_first_received", "first_received_at"),
    )

    study_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    site: Mapped[str] = mapped_column(SiteText, primary_key=True)
    listed_at: Mapped[datetime]
    """That of the study, so that one index gives the pages of a search in order."""
    patient_id: Mapped[str] = mapped_column(TermText, default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(TermText, default="", server_default="")
    patient_name: Mapped[str] = mapped_column(Text, default="")
    patient_name_folded: Mapped[str] = mapped_column(TermText, default="", server_default="")
    """As a search compares it: without capitals."""
    patient_birth_date: Mapped[str] = mapped_column(TermText, default="")
    patient_sex: Mapped[str] = mapped_column(Text, default="")
    accession_number: Mapped[str] = mapped_column(TermText, default="")
    study_date: Mapped[str] = mapped_column(TermText, default="")
    """PS3.5 DA as it came: YYYYMMDD sorts as text."""
    study_time: Mapped[str] = mapped_column(Text, default="")
    study_description: Mapped[str] = mapped_column(Text, default="")
    first_received_at: Mapped[datetime | None]
    last_received_at: Mapped[datetime | None]


class StudyTerm(Base):
    """A word by whose beginning a study is found."""

    __tablename__ = "study_term"
    __table_args__ = (Index("ix_study_term_study", "study_instance_uid"),)

    term: Mapped[str] = mapped_column(TermText, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    site: Mapped[str] = mapped_column(SiteText, primary_key=True)


class StudyFacet(Base):
    """A value of which a study has several at a site: each that some object of it brought, once."""

    __tablename__ = "study_facet"
    __table_args__ = (Index("ix_study_facet_value", "kind", "value", "listed_at", "study_instance_uid"),)

    study_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    site: Mapped[str] = mapped_column(SiteText, primary_key=True)
    kind: Mapped[str] = mapped_column(key_text(16), primary_key=True)
    """modality | calling | called | sent"""
    value: Mapped[str] = mapped_column(TermText, primary_key=True)
    listed_at: Mapped[datetime]
    """That of the study."""


class Series(Base):
    """A series as one site knows it."""

    __tablename__ = "series"
    __table_args__ = (Index("ix_series_uid", "series_instance_uid"),)

    study_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(UidText, primary_key=True)
    site: Mapped[str] = mapped_column(SiteText, primary_key=True)
    modality: Mapped[str] = mapped_column(Text, default="")
    series_number: Mapped[str] = mapped_column(Text, default="")
    series_description: Mapped[str] = mapped_column(Text, default="")
    body_part_examined: Mapped[str] = mapped_column(Text, default="")
    last_received_at: Mapped[datetime | None]


class Instance(Base):
    """One reception of one object by one node. The same SOP instance that came twice has two rows."""

    __tablename__ = "instance"
    __table_args__ = (
        Index("ix_instance_study", "study_instance_uid"),
        Index("ix_instance_sop", "sop_instance_uid"),
        Index("ix_instance_listed", "listed_at"),
        Index(
            "ix_instance_sent_nowhere",
            "study_instance_uid",
            "site",
            postgresql_where=text("destinations = 0"),
            sqlite_where=text("destinations = 0"),
        ),
    )

    node_id: Mapped[str] = mapped_column(key_text(64), primary_key=True)
    instance_id: Mapped[str] = mapped_column(key_text(32), primary_key=True)
    site: Mapped[str] = mapped_column(SiteText)
    sop_class_uid: Mapped[str] = mapped_column(UidText, default="")
    sop_instance_uid: Mapped[str] = mapped_column(UidText)
    study_instance_uid: Mapped[str] = mapped_column(UidText)
    series_instance_uid: Mapped[str] = mapped_column(UidText, default="")
    transfer_syntax_uid: Mapped[str] = mapped_column(UidText, default="")
    data_set_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    calling_ae_title: Mapped[str] = mapped_column(Text, default="")
    called_ae_title: Mapped[str] = mapped_column(Text, default="")
    peer_address: Mapped[str] = mapped_column(Text, default="")
    received_at: Mapped[datetime | None]
    """None: only a delivery of it was heard of so far."""
    tags: Mapped[dict[str, str]] = mapped_column(JsonDocument, default=dict)
    flags: Mapped[list[str]] = mapped_column(JsonDocument, default=list)
    policy: Mapped[str] = mapped_column(Text, default="")
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JsonDocument, default=list)
    """[{route, matched, reason}]"""
    destinations: Mapped[int | None] = mapped_column(SmallInteger)
    """How many its routes named when it was received; None: only a delivery of it was heard of so far."""
    epoch: Mapped[str] = mapped_column(key_text(16))
    sequence: Mapped[int] = mapped_column(BigInteger)
    occurred_at: Mapped[datetime]
    """Which event this row tells of: a later one replaces it."""
    listed_at: Mapped[datetime]
    """Never changes: it orders the pages of a list."""
