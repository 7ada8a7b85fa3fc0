-- What people do to the queue. States stand here as words, because SQLite uses a partial index only when it can prove
-- that it fits; a test compares them with the table of transitions.

-- chosen: the unfinished deliveries that a person means
SELECT delivery.id FROM delivery INDEXED BY delivery_unfinished JOIN instance ON instance.id = delivery.instance
WHERE delivery.state NOT IN ('delivered', 'superseded', 'discarded')
  AND delivery.state IN (SELECT value FROM json_each(:states))
  AND (:destination IS NULL OR delivery.destination = :destination)
  AND (:uid IS NULL OR :uid IN (instance.sop_instance_uid, instance.study_instance_uid, instance.series_instance_uid,
                                instance.instance_id))
  AND (:calling_ae_title IS NULL OR instance.calling_ae_title = :calling_ae_title)
  AND (:route IS NULL OR EXISTS (SELECT 1 FROM json_each(instance.outcomes)
                                 WHERE value ->> 'route' = :route AND value ->> 'matched'))
  AND (:before IS NULL OR instance.received_at < :before)
  AND (:reason IS NULL OR instr(lower(delivery.reason), lower(:reason)) > 0)
ORDER BY delivery.id;

-- release_together: many at once, each under the same rule as one alone; what a newer object overtook is not for this
UPDATE delivery SET state = 'due', reason = :reason, dimse_status = 0, not_before = 0, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('retry_wait', 'parked', 'quarantined', 'held', 'gathering')
  AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.id = delivery.instance AND instance.replaced = 1)
RETURNING id;

-- hold_together: nothing of these is sent until a person releases them
UPDATE delivery SET state = 'held', reason = :reason, dimse_status = 0, not_before = 0, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('gathering', 'due', 'retry_wait', 'parked')
RETURNING id;

-- discard_together: a person ends these
UPDATE delivery SET state = 'discarded', reason = :reason, not_before = 0, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids))
  AND state IN ('gathering', 'due', 'retry_wait', 'parked', 'quarantined', 'held', 'verifying')
RETURNING id;

-- reroutable: those of these that can still be sent somewhere else
SELECT id FROM delivery
WHERE id IN (SELECT value FROM json_each(:ids)) AND destination <> :destination
  AND state IN ('gathering', 'due', 'retry_wait', 'parked', 'quarantined', 'held', 'verifying')
ORDER BY id;

-- reroute_together: the instances of these deliveries go to another destination too, those that do not already
INSERT INTO delivery (instance, destination, state, changed_at, priority, reason)
SELECT delivery.instance, :destination, 'due', :now, delivery.priority, :reason
FROM delivery WHERE id IN (SELECT value FROM json_each(:ids))
ON CONFLICT (instance, destination) DO UPDATE SET state = 'due', reason = excluded.reason, dimse_status = 0,
  not_before = 0, changed_at = excluded.changed_at
WHERE delivery.state = 'discarded'
RETURNING id;

-- add_deed: what a person asked for
INSERT INTO deed (done_at, who, action, choice, reason, deliveries) VALUES (:now, :who, :action, :choice, :reason, 0)
RETURNING id;

-- count_deed: so many more were done of it, in this transaction
UPDATE deed SET deliveries = deliveries + :deliveries WHERE id = :id;

-- deeds: what people did, the newest first
SELECT * FROM deed ORDER BY id DESC LIMIT :limit;

-- fixable: instances with a delivery that a fix could help
SELECT DISTINCT instance.* FROM instance JOIN delivery ON delivery.instance = instance.id
WHERE :uid IN (sop_instance_uid, study_instance_uid, series_instance_uid, instance_id)
  AND released_at IS NULL AND delivery.state IN ('quarantined', 'parked') ORDER BY instance.id;

-- write_fix: it is applied before everything else, whenever this instance is sent
INSERT INTO fix (instance, steps, written_at) VALUES (:id, :steps, :now)
ON CONFLICT (instance) DO UPDATE SET steps = excluded.steps, written_at = excluded.written_at;

-- stuck_of: the deliveries of an instance that wait for a person
SELECT id FROM delivery WHERE instance = :id AND state IN ('quarantined', 'parked');
