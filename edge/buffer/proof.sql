-- What destinations acknowledged and still have to say that they hold.

-- expect_proof: it was sent and acknowledged under these UIDs; how often it was missing before stays
INSERT INTO proof (delivery, study, series, sop) VALUES (:id, :study, :series, :sop)
ON CONFLICT (delivery) DO UPDATE SET study = excluded.study, series = excluded.series, sop = excluded.sop, asked = 0;

-- count_missing: it is sent once more
UPDATE proof SET missing = missing + 1 WHERE delivery = :id;

-- forget_proof: it is proven, or for a person; whoever sends it again begins anew
DELETE FROM proof WHERE delivery = :id;

-- unproven: what a destination may be asked for now; a time far ahead was written by a clock that was wrong
SELECT delivery.id, delivery.attempts, delivery.changed_at, instance.instance_id,
  proof.study, proof.series, proof.sop, proof.asked, proof.missing
FROM delivery JOIN proof ON proof.delivery = delivery.id JOIN instance ON instance.id = delivery.instance
WHERE delivery.destination = :destination AND delivery.state = 'verifying'
  AND (delivery.not_before <= :now OR delivery.not_before > :absurd)
ORDER BY delivery.not_before LIMIT :limit;

-- ask_later: the next question; `changed_at` stays when it was sent
UPDATE delivery SET not_before = :not_before, reason = :reason
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'verifying';

-- count_question: they were asked for, and were not there
UPDATE proof SET asked = asked + 1 WHERE delivery IN (SELECT value FROM json_each(:ids));

-- forget_time: asked for at once
UPDATE delivery SET not_before = 0 WHERE destination = :destination AND state = 'verifying';

-- verifies: whether anything waits for a question
SELECT 1 AS one FROM delivery WHERE destination = :destination AND state = 'verifying' LIMIT 1;
