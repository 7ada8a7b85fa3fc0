-- The queue of each destination, as its lane sees it. States stand here as words, because SQLite uses a partial index
-- only when it can prove that it fits; a test compares them with the table of transitions. With a million rows that are
-- delivered and kept, looking for the few that are due must not read them.

-- anything_due: whether a claim would find something, without taking the turn to write
SELECT EXISTS (SELECT 1 FROM delivery WHERE destination = :destination AND state = 'due')
  OR EXISTS (SELECT 1 FROM delivery WHERE destination = :destination AND state = 'retry_wait' AND not_before <= :now)
  OR EXISTS (SELECT 1 FROM delivery WHERE destination = :destination AND state = 'retry_wait' AND not_before > :absurd)
  AS due;

-- elapse_backoff: waiting deliveries whose time has come are due; one far ahead was written by a clock that was wrong
UPDATE delivery SET state = 'due', changed_at = :now
WHERE destination = :destination AND state = 'retry_wait' AND (not_before <= :now OR not_before > :absurd);

-- claim: the oldest of the most urgent due deliveries of one destination, under a lease; what failed before goes behind
-- what is new. Only of one priority, so that nothing less urgent is sent beside it over another association.
UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease_until = :lease_until, changed_at = :now
WHERE id IN (SELECT id FROM delivery WHERE destination = :destination AND state = 'due' AND priority <= :least
               AND priority = (SELECT min(priority) FROM delivery WHERE destination = :destination AND state = 'due')
             ORDER BY attempts, id LIMIT :limit)
RETURNING id, priority;

-- claim_oldest: those that wait longest, whatever their priority; looks at no more than the first few of each
UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease_until = :lease_until, changed_at = :now
WHERE id IN (
  SELECT id FROM (
    SELECT * FROM (SELECT id FROM delivery WHERE destination = :destination AND state = 'due' AND priority = 0
                   ORDER BY attempts, id LIMIT :limit)
    UNION ALL
    SELECT * FROM (SELECT id FROM delivery WHERE destination = :destination AND state = 'due' AND priority = 1
                   ORDER BY attempts, id LIMIT :limit)
    UNION ALL
    SELECT * FROM (SELECT id FROM delivery WHERE destination = :destination AND state = 'due' AND priority = 2
                   ORDER BY attempts, id LIMIT :limit))
  ORDER BY id LIMIT :limit)
RETURNING id, priority;

-- least_urgent: the lowest priority that is due, if any
SELECT max(priority) AS priority FROM delivery WHERE destination = :destination AND state = 'due';

-- most_urgent: the best priority of what a claim would find, if any
SELECT min(priority) AS priority FROM (
  SELECT * FROM (SELECT priority FROM delivery WHERE destination = :destination AND state = 'due'
                 ORDER BY priority LIMIT 1)
  UNION ALL
  SELECT priority FROM delivery WHERE destination = :destination AND state = 'retry_wait' AND not_before <= :now);

-- expire_leases: a sender that died gives its deliveries back
UPDATE delivery SET state = 'due', changed_at = :now
WHERE state = 'sending' AND (lease_until <= :until OR lease_until > :absurd)
  AND (:destination IS NULL OR destination = :destination);

-- deliver_together: many successes at once, each under the same rule as one alone
UPDATE delivery SET state = 'delivered', reason = :reason, dimse_status = :dimse_status, not_before = 0, changed_at = :now
WHERE id IN (SELECT value FROM json_each(:ids)) AND (state = 'sending' OR state = 'due' OR state = 'superseded'
                                                       OR state = 'held' OR state = 'discarded') RETURNING id;

-- settle_instances: of these deliveries' instances, those that are finished everywhere by now
UPDATE instance SET settled_at = :now,
  standing = CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE delivery.instance = instance.id AND state <> 'delivered')
                  THEN 'ended' ELSE 'delivered' END
WHERE id IN (SELECT instance FROM delivery WHERE id IN (SELECT value FROM json_each(:ids)))
  AND NOT EXISTS (SELECT 1 FROM delivery
                  WHERE delivery.instance = instance.id AND state NOT IN ('delivered', 'superseded', 'discarded'));

-- tell_together: the same events as `delivery_event` and `add_event` would make one by one
INSERT INTO outbox (kind, occurred_at, body)
SELECT 'delivery_changed', :now, json_object(
  'instance_id', instance.instance_id,
  'sop_instance_uid', json_extract(instance.shared_uids, '$[0]'),
  'study_instance_uid', json_extract(instance.shared_uids, '$[1]'),
  'destination', delivery.destination, 'state', delivery.state, 'reason', delivery.reason,
  'attempts', delivery.attempts, 'dimse_status', delivery.dimse_status)
FROM json_each(:ids) AS asked JOIN delivery ON delivery.id = asked.value JOIN instance ON instance.id = delivery.instance
ORDER BY asked.key;
