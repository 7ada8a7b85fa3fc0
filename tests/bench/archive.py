"""Years of a mesh of fifty sites, made inside PostgreSQL by statements over sets: ten million instances in minutes."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

STUDIES_OF_TEN_MILLION = 300_000
SITES = 50
NODES = 1000
_BIG = ("instance", "delivery")

_STUDIES = """
CREATE TEMPORARY TABLE plan AS
SELECT n, '1.2.826.0.1.3680043.10.' || n || '.1' AS uid, 'site-' || lpad((n * 7919 % {sites})::text, 3, '0') AS site,
       timestamptz '2023-11-01' + n * interval '1 day' * 1095 / {studies} AS at,
       (ARRAY['CR','DX','US','CR','DX','CR','MR','MR','MR','CT'])[n % 10 + 1] AS modality,
       (ARRAY[3,2,5,3,2,3,45,45,45,180])[n % 10 + 1] AS objects,
       'P' || lpad((n * 104729 % 120000)::text, 7, '0') AS patient,
       (ARRAY['ADAMS','BAKER','CLARK','DAVIS','EVANS','FROST','GREEN','HAYES','IRWIN','JONES'])[n / 7 % 10 + 1]
           || (n * 31 % 997) || '^' || (ARRAY['ANNA','BERT','CARL','DORA','EMIL'])[n % 5 + 1] AS name,
       CASE WHEN n % 997 = 0 THEN 'parked' WHEN n % 499 = 0 THEN 'unrouted' WHEN n > {studies} * 0.98 THEN 'due'
            ELSE 'delivered' END AS state
FROM generate_series(1::bigint, {studies}) AS n;
ANALYZE plan;
INSERT INTO study SELECT uid, at FROM plan;
INSERT INTO study_site (study_instance_uid, site, listed_at, patient_id, issuer_of_patient_id, patient_name,
    patient_name_folded, patient_birth_date, patient_sex, accession_number, study_date, study_time,
    study_description, first_received_at, last_received_at)
SELECT uid, site, at, patient, 'HOSPITAL' || n % 3, name, lower(name),
    '19' || lpad((n % 90 + 10)::text, 2, '0') || '0615', 'F',
    'A' || lpad(n::text, 9, '0'), to_char(at, 'YYYYMMDD'), '101500', modality || ' routine', at, at FROM plan;
INSERT INTO study_facet SELECT uid, site, 'modality', modality, at FROM plan
    UNION ALL SELECT uid, site, 'calling', modality || n % 40, at FROM plan
    UNION ALL SELECT uid, site, 'called', 'SKERRY', at FROM plan
    UNION ALL SELECT uid, site, 'sent', 'nowhere', at FROM plan WHERE state = 'unrouted';
INSERT INTO study_term SELECT DISTINCT term, uid, site FROM plan,
    unnest(ARRAY[uid, lower(patient), lower(split_part(name, '^', 1)), lower(split_part(name, '^', 2)),
        'a' || lpad(n::text, 9, '0'), lower(modality), 'routine']) AS term;
INSERT INTO series
SELECT uid, uid || '.' || s, site, modality, s::text, '', '', at FROM plan, generate_series(1, 2) AS s;
"""

_INSTANCES = """
INSERT INTO instance (node_id, instance_id, site, sop_class_uid, sop_instance_uid, study_instance_uid,
    series_instance_uid, transfer_syntax_uid, data_set_bytes, calling_ae_title, called_ae_title, peer_address,
    received_at, tags, flags, policy, reasons, destinations, epoch, sequence, occurred_at, listed_at)
SELECT md5(site), md5(uid || o), site, '1.2.840.10008.5.1.4.1.1.2', uid || '.' || o % 2 + 1 || '.' || o, uid,
    uid || '.' || o % 2 + 1, '1.2.840.10008.1.2.1', 524288, modality || n % 40, 'SKERRY', '10.0.0.7', moment,
    jsonb_build_object('PatientID', patient, 'PatientName', name, 'Modality', modality), '[]', '3.17',
    '[{{"route": "all", "reason": "Modality is CT", "matched": true}}]',
    CASE state WHEN 'unrouted' THEN 0 ELSE 1 END, '00000000000000aa', n * 1000 + o, moment, moment
FROM (SELECT plan.*, o, at + o * interval '1 second' AS moment FROM plan, generate_series(1, objects) AS o
      WHERE n BETWEEN {first} AND {last}) AS made;
INSERT INTO delivery (node_id, instance_id, destination, site, sop_instance_uid, study_instance_uid, state, unfinished,
    finality, reason, attempts, dimse_status, occurred_at, delivered_at, epoch, sequence)
SELECT md5(site), md5(uid || o), 'pacs', site, uid || '.' || o % 2 + 1 || '.' || o, uid, state,
    CASE state WHEN 'parked' THEN 2 WHEN 'due' THEN 1 ELSE 0 END, CASE state WHEN 'parked' THEN 5 WHEN 'due' THEN 1
    ELSE 9 END, '', 1, 0, at, CASE state WHEN 'delivered' THEN at END, '00000000000000aa', n * 1000 + 500 + o
FROM plan, generate_series(1, objects) AS o WHERE n BETWEEN {first} AND {last} AND state <> 'unrouted';
"""

_FLEET = """
INSERT INTO site (id, name, created_at)
SELECT n, 'site-' || lpad(n::text, 3, '0'), now() FROM generate_series(0, {nodes} - 1) n;
INSERT INTO node (id, site_id, name, key_fingerprint, certificate_ends, enrolled_at, last_contact_at)
SELECT md5('node' || n), n, 'box', '', now() + interval '20 days', now(), now() - n % 60 * interval '1 second'
FROM generate_series(0, {nodes} - 1) n;
"""


def fill(url: str, instances: int, say: Callable[[str], None]) -> int:
    """Fill an empty database; gives how many instances there are. Indexes of the big tables are built afterwards."""
    studies = max(200, round(instances * STUDIES_OF_TEN_MILLION / 10_000_000))
    step = max(1, studies // 20)
    with psycopg.connect(url, autocommit=True) as connection:
        _run(connection, _FLEET, nodes=NODES)
        _run(connection, _STUDIES, sites=SITES, studies=studies)
        later = [one for table in _BIG for one in _without_indexes(connection, table)]
        for first in range(1, studies + 1, step):
            _run(connection, _INSTANCES, first=first, last=min(first + step - 1, studies))
        say("  building the indexes")
        for statement in later:
            connection.execute(statement.encode())
        connection.execute("VACUUM ANALYZE")
        found = connection.execute("SELECT count(*) FROM instance").fetchone()
    assert found is not None
    return int(found[0])


def _run(connection: psycopg.Connection[tuple[object, ...]], text: str, **numbers: int) -> None:
    for statement in text.format(**numbers).split(";\n"):
        if statement.strip():
            connection.execute(statement.encode())


def _without_indexes(connection: psycopg.Connection[tuple[object, ...]], table: str) -> list[str]:
    """Drop them; gives the statements that make them again."""
    keys = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass", [table]
    ).fetchall()
    made = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for name, definition in keys]
    for name, _ in keys:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    indexes = connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", [table]).fetchall()
    for name, definition in indexes:
        made.append(str(definition))
        connection.execute(f"DROP INDEX {name}".encode())
    return made
