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

-- claim: the oldest due deliveries of one destination, under a lease; what failed before goes behind what is new
UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease_until = :lease_until, changed_at = :now
WHERE id IN (SELECT id FROM delivery WHERE destination = :destination AND state = 'due' ORDER BY attempts, id LIMIT :limit)
RETURNING id;

-- expire_leases: a sender that died gives its deliveries back
UPDATE delivery SET state = 'due', changed_at = :now
WHERE state = 'sending' AND (lease_until <= :now OR lease_until > :absurd)
  AND (:destination IS NULL OR destination = :destination);
