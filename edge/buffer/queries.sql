-- add_instance: custody becomes a row; a second adoption changes nothing, but what no policy has routed can be routed
INSERT INTO instance (instance_id, sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid,
  transfer_syntax_uid, calling_ae_title, called_ae_title, peer_address, received_at, data_set_offset,
  data_set_length, checksum, instance_number, policy, outcomes, flags, shared_uids, routed_to, standing)
VALUES (:instance_id, :sop_class_uid, :sop_instance_uid, :study_instance_uid, :series_instance_uid,
  :transfer_syntax_uid, :calling_ae_title, :called_ae_title, :peer_address, :received_at, :data_set_offset,
  :data_set_length, :checksum, :instance_number, :policy, :outcomes, :flags, :shared_uids, :routed_to,
  :standing)
ON CONFLICT (instance_id) DO UPDATE SET study_instance_uid = excluded.study_instance_uid,
  series_instance_uid = excluded.series_instance_uid, policy = excluded.policy, outcomes = excluded.outcomes,
  flags = excluded.flags, shared_uids = excluded.shared_uids, routed_to = excluded.routed_to,
  standing = excluded.standing
WHERE instance.policy = '' AND excluded.policy <> ''
RETURNING id;

-- unrouted: the oldest instances that no policy has routed yet
SELECT * FROM instance WHERE policy = '' AND released_at IS NULL ORDER BY id LIMIT :limit;

-- nowhere: instances that no route took, or that wait for a policy
SELECT id FROM instance WHERE routed_to = 0 AND released_at IS NULL
  AND (:uid IS NULL OR :uid IN (sop_instance_uid, study_instance_uid, series_instance_uid, instance_id));

-- forget_routing: the policy in force decides about this instance anew
UPDATE instance SET policy = '', standing = 'waiting' WHERE id = :id AND routed_to = 0;

-- add_delivery: one row for each destination of the decision
INSERT INTO delivery (instance, destination, state, changed_at, priority)
VALUES (:instance, :destination, 'due', :now, :priority);

-- add_event: the outbox tells the control plane what the same transaction changed
INSERT INTO outbox (kind, occurred_at, body) VALUES (:kind, :now, :body);

-- renew_leases: a sender that still works keeps what it holds, and what ran out while it worked; no new attempt
UPDATE delivery SET state = :target, lease_until = :lease_until
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN (SELECT value FROM json_each(:sources));

-- claimed: what a lane needs of the deliveries that it holds
SELECT instance.*, delivery.id AS delivery_id, delivery.destination, delivery.attempts, delivery.priority, fix.steps AS fix
FROM delivery JOIN instance ON instance.id = delivery.instance LEFT JOIN fix ON fix.instance = delivery.instance
WHERE delivery.id IN (SELECT value FROM json_each(:ids)) ORDER BY delivery.priority, delivery.attempts, delivery.id;

-- transition: one delivery takes one event; the table of transitions is in the WHERE clause
UPDATE delivery SET state = :target, reason = :reason, dimse_status = :dimse_status, not_before = :not_before,
  attempts = attempts - :unspent, changed_at = :now
WHERE id = :id AND state IN (SELECT value FROM json_each(:sources)) RETURNING id;

-- last_reason: what the control plane heard last of a delivery that fails
SELECT reason, attempts FROM delivery WHERE id = :id;

-- delivery_event: what the control plane hears of a transition
SELECT instance.instance_id, instance.shared_uids, delivery.destination, delivery.state, delivery.reason,
  delivery.attempts, delivery.dimse_status
FROM delivery JOIN instance ON instance.id = delivery.instance WHERE delivery.id = :id;

-- write_note: a small fact for people
INSERT INTO note (key, value, written_at) VALUES (:key, :value, :now)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, written_at = excluded.written_at;

-- read_note: one fact
SELECT value FROM note WHERE key = :key;

-- notes: all facts
SELECT key, value, written_at FROM note ORDER BY key;

-- counts: how full the buffer is; who waits longest is, nearly always, who was admitted first
SELECT (SELECT count(*) FROM instance WHERE released_at IS NULL) AS held,
  (SELECT sum(deliveries) FROM tally WHERE state IN ('gathering', 'due', 'sending', 'retry_wait', 'verifying')) AS waiting,
  (SELECT sum(deliveries) FROM tally WHERE state = 'quarantined') AS quarantined,
  (SELECT sum(deliveries) FROM tally WHERE state = 'held') AS held_back,
  (SELECT sum(deliveries) FROM tally WHERE state = 'parked') AS parked,
  (SELECT received_at FROM instance WHERE id = (
    SELECT instance FROM delivery INDEXED BY delivery_on_its_way
    WHERE state IN ('due', 'sending', 'retry_wait', 'verifying') ORDER BY id LIMIT 1)) AS oldest_waiting,
  (SELECT count(*) FROM instance INDEXED BY instance_nowhere WHERE routed_to = 0 AND released_at IS NULL) AS nowhere,
  (SELECT count(*) FROM outbox WHERE sequence > (SELECT sequence FROM told)) AS outbox,
  (SELECT json_group_object(standing, instances) FROM standings) AS standings;

-- tally: every delivery that has a row, by state and priority
SELECT state, priority, deliveries FROM tally;

-- destinations: the queue by destination and state
SELECT destination, state, count(*) AS deliveries, min(instance.received_at) AS oldest
FROM delivery JOIN instance ON instance.id = delivery.instance
WHERE NOT (state IN ('delivered', 'superseded', 'discarded') AND released_at IS NOT NULL)
GROUP BY destination, state ORDER BY destination, state;

-- waiting_by_destination: how much is on its way, or waits for a person
SELECT destination, count(*) AS deliveries FROM delivery WHERE state NOT IN ('delivered', 'superseded', 'discarded') GROUP BY destination;

-- queue: deliveries that are not finished, oldest first
SELECT delivery.id, delivery.destination, delivery.state, delivery.priority, delivery.attempts, delivery.not_before,
  delivery.gathering,
  delivery.dimse_status, delivery.reason, delivery.changed_at, instance.instance_id, instance.sop_instance_uid,
  instance.study_instance_uid, instance.received_at
FROM delivery JOIN instance ON instance.id = delivery.instance
WHERE delivery.state NOT IN ('delivered', 'superseded', 'discarded') AND (:destination IS NULL OR delivery.destination = :destination)
  AND (:state IS NULL OR delivery.state = :state)
ORDER BY delivery.id LIMIT :limit;

-- trace: every arrival under a UID
SELECT * FROM instance
WHERE :uid IN (sop_instance_uid, study_instance_uid, series_instance_uid, instance_id) ORDER BY id;

-- in_spool_under: what is still in the spool under a UID or an instance id, the newest first
SELECT * FROM instance
WHERE :uid IN (sop_instance_uid, study_instance_uid, series_instance_uid, instance_id)
  AND released_at IS NULL AND vacated = 0 ORDER BY id DESC LIMIT :limit;

-- in_spool_newest: what came last and is still in the spool, with where it was sent
SELECT *, (SELECT json_group_array(json_array(destination, priority, gathering IS NOT NULL))
           FROM delivery WHERE delivery.instance = instance.id) AS sent_to
FROM instance WHERE released_at IS NULL AND vacated = 0 ORDER BY id DESC LIMIT :limit;

-- in_spool_since: what is still in the spool, by page, with where it was sent (the plus keeps the order of the table)
SELECT *, (SELECT json_group_array(json_array(destination, priority, gathering IS NOT NULL))
           FROM delivery WHERE delivery.instance = instance.id) AS sent_to
FROM instance
WHERE id > :after AND +received_at >= :since AND released_at IS NULL AND vacated = 0 ORDER BY id LIMIT :limit;

-- trace_deliveries: where each of those arrivals went
SELECT instance, destination, state, priority, attempts, dimse_status, reason, changed_at, not_before, gathering
FROM delivery WHERE instance IN (SELECT value FROM json_each(:instances)) ORDER BY id;

-- settle_instance: the last of its deliveries has just been finished: it stands where they end
UPDATE instance SET settled_at = :now,
  standing = CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE delivery.instance = instance.id AND state <> 'delivered')
                  THEN 'ended' ELSE 'delivered' END
WHERE id = (SELECT instance FROM delivery WHERE id = :delivery)
  AND NOT EXISTS (SELECT 1 FROM delivery
                  WHERE delivery.instance = instance.id AND state NOT IN ('delivered', 'superseded', 'discarded'));

-- retainable: finished everywhere (and at least somewhere), and kept long enough since then
SELECT id, instance_id FROM instance
WHERE released_at IS NULL AND settled_at IS NOT NULL AND settled_at <= :before
ORDER BY settled_at LIMIT :limit;

-- mark_repeated: the same bytes are here already; nothing of this one is needed
UPDATE instance SET released_at = :now, standing = 'repeated' WHERE id = :id;

-- mark_released: the row stays as the record of what happened
UPDATE instance SET released_at = :now WHERE id = :id;

-- known_ids: which of these instances have a row
SELECT instance_id, released_at IS NULL AS held FROM instance
WHERE instance_id IN (SELECT value FROM json_each(:ids));

-- occupied: which of these slots an instance lies in
SELECT substr(instance_id, 1, 16) AS slot, instance_id FROM instance
WHERE vacated = 0 AND substr(instance_id, 1, 16) IN (SELECT value FROM json_each(:slots));

-- displaced: another instance lies where these lay, so they are not there any more
UPDATE instance SET vacated = 1
WHERE vacated = 0 AND substr(instance_id, 1, 16) IN (SELECT value FROM json_each(:slots))
RETURNING instance_id;

-- leaving: released, and still in their slots
SELECT id, instance_id FROM instance WHERE released_at IS NOT NULL AND vacated = 0 LIMIT :limit;

-- vacate: nothing of it is in its slot any more
UPDATE instance SET vacated = 1 WHERE id = :id;

-- free_slot: a wiped slot is anybody's
INSERT INTO free_slot (slot, size, generation) VALUES (:slot, :size, :generation)
ON CONFLICT (slot) DO UPDATE SET size = excluded.size, generation = excluded.generation, owner = NULL;

-- occupy_slot: an instance lies in it now
DELETE FROM free_slot WHERE slot = :slot AND generation < :generation;

-- forget_slot: there is no such file
DELETE FROM free_slot WHERE slot = :slot;

-- has_free_slots: whether a slot of this size is to be had
SELECT 1 AS one FROM free_slot WHERE size = :size AND owner IS NULL LIMIT 1;

-- claim_slots: these slots are one process' own until an instance lies in them
UPDATE free_slot SET owner = :owner
WHERE slot IN (SELECT slot FROM free_slot WHERE size = :size AND owner IS NULL LIMIT :limit)
RETURNING slot, generation;

-- give_slots_back: nobody's again
UPDATE free_slot SET owner = NULL WHERE slot IN (SELECT value FROM json_each(:slots));

-- owned_slots: slots that may hold something that the index does not know
SELECT slot, size, generation, owner FROM free_slot WHERE owner IS NOT NULL ORDER BY slot;

-- free_among: which of these slots hold nothing
SELECT slot, size, generation, owner FROM free_slot WHERE slot IN (SELECT value FROM json_each(:slots));

-- free_bytes: how much of the disk waits in empty slots
SELECT coalesce(sum(size), 0) AS bytes FROM free_slot;

-- free_by_size: empty slots
SELECT size, count(*) AS slots FROM free_slot GROUP BY size;

-- recent_lengths: how large the newest instances are
SELECT data_set_offset + data_set_length AS bytes FROM instance ORDER BY id DESC LIMIT :limit;

-- newest: the last row
SELECT coalesce(max(id), 0) AS id FROM instance;

-- closed_shelves: shelves that need no look
SELECT shelf FROM closed_shelf;

-- close_shelf: everything on it was settled
INSERT INTO closed_shelf (shelf) VALUES (:shelf) ON CONFLICT DO NOTHING;

-- reopen_shelves: believe nothing of them
DELETE FROM closed_shelf;

-- held_under: what is in the spool under these SOP Instance UIDs, the oldest first
SELECT * FROM instance
WHERE released_at IS NULL AND sop_instance_uid IN (SELECT value FROM json_each(:uids)) ORDER BY id;

-- is_on_its_way: whether this one is in the spool, and not yet delivered everywhere, or only just
SELECT 1 AS one FROM instance
WHERE id = :id AND released_at IS NULL AND (settled_at IS NULL OR settled_at > :lately);

-- mark_replaced: newer objects of the same UIDs took their places
UPDATE instance SET replaced = 1 WHERE id IN (SELECT value FROM json_each(:ids));

-- replaceable: deliveries of these instances to these destinations that did not begin
SELECT id FROM delivery
WHERE instance IN (SELECT value FROM json_each(:ids)) AND destination IN (SELECT value FROM json_each(:destinations))
  AND state IN (SELECT value FROM json_each(:sources));

-- is_overtaken: whether a newer object of the same UID goes where this delivery goes, in its place
SELECT 1 AS one FROM delivery JOIN instance ON instance.id = delivery.instance
WHERE delivery.id = :id AND instance.replaced = 1
  AND EXISTS (SELECT 1 FROM instance AS newer JOIN delivery AS other ON other.instance = newer.id
              WHERE newer.sop_instance_uid = instance.sop_instance_uid AND newer.id > instance.id
                AND other.destination = delivery.destination);

-- overtaken: every delivery of which that is so, and that is not under way
SELECT delivery.id FROM instance JOIN delivery ON delivery.instance = instance.id
WHERE instance.replaced = 1 AND instance.released_at IS NULL
  AND delivery.state IN ('due', 'retry_wait', 'parked', 'gathering', 'quarantined', 'held')
  AND EXISTS (SELECT 1 FROM instance AS newer JOIN delivery AS other ON other.instance = newer.id
              WHERE newer.sop_instance_uid = instance.sop_instance_uid AND newer.id > instance.id
                AND other.destination = delivery.destination);

-- long_gone: released and emptied before this time
SELECT id FROM instance WHERE vacated = 1 AND released_at < :before ORDER BY released_at LIMIT :limit;

-- forget_proofs: of instances that are forgotten
DELETE FROM proof WHERE delivery IN (SELECT id FROM delivery WHERE instance IN (SELECT value FROM json_each(:ids)));

-- forget_deliveries: of instances that are forgotten
DELETE FROM delivery WHERE instance IN (SELECT value FROM json_each(:ids));

-- forget_fixes: of instances that are forgotten
DELETE FROM fix WHERE instance IN (SELECT value FROM json_each(:ids));

-- forget_instances: nobody asks for them any more
DELETE FROM instance WHERE id IN (SELECT value FROM json_each(:ids));

-- held_otherwise: objects of this SOP Instance UID in the spool, when none of them has these bytes
SELECT 1 AS one FROM instance WHERE released_at IS NULL AND sop_instance_uid = :uid
  AND NOT EXISTS (SELECT 1 FROM instance WHERE released_at IS NULL AND sop_instance_uid = :uid
                  AND data_set_length = :length AND checksum = :checksum)
LIMIT 1;
