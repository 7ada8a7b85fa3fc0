-- Series and studies that routes wait for. States stand here as words, because SQLite uses a partial index only when it
-- can prove that it fits; a test compares them with the table of transitions.

-- join_gathering: another image of it came, so its quiet begins anew; one that went already is open again
INSERT INTO gathering (route, scope, uid, quiet, at_most, missing_quiet)
VALUES (:route, :scope, :uid, :quiet, :at_most, :missing_quiet)
ON CONFLICT (route, scope, uid) DO UPDATE SET quiet = excluded.quiet, at_most = excluded.at_most,
  missing_quiet = excluded.missing_quiet, quiet_for = 0
RETURNING id;

-- gather_from: while this association is open, more may come
INSERT INTO gathering_from (gathering, association) VALUES (:gathering, :association) ON CONFLICT DO NOTHING;

-- add_gathering_delivery: one that waits for the rest
INSERT INTO delivery (instance, destination, state, changed_at, priority, reason, gathering)
VALUES (:instance, :destination, 'gathering', :now, :priority, :reason, :gathering) RETURNING id;

-- anything_gathers: whether a look at the time is worth a change
SELECT EXISTS (SELECT 1 FROM gathering) AS gathers;

-- gatherings: what is open, and whether anything still waits for it
SELECT gathering.*, EXISTS (SELECT 1 FROM delivery WHERE state = 'gathering' AND delivery.gathering = gathering.id) AS wanted
FROM gathering ORDER BY id;

-- gathering_senders: who sent it, as far as they were still open at the last look
SELECT gathering, association FROM gathering_from;

-- senders_gone: these associations are over
DELETE FROM gathering_from WHERE association IN (SELECT value FROM json_each(:associations));

-- count_time: how long each is quiet and open by now
UPDATE gathering SET quiet_for = passed.value ->> 1, open_for = passed.value ->> 2
FROM json_each(:passed) AS passed WHERE gathering.id = passed.value ->> 0;

-- gathered: all of one series or study, together
UPDATE delivery SET state = 'due', reason = :reason, changed_at = :now WHERE state = 'gathering' AND gathering = :id RETURNING id;

-- gaps: numbers between the first and the last of each series that no image has; a series with more gaps than images is
-- numbered in another way (by phases, by echoes, in steps), and has none
SELECT coalesce(sum(gaps), 0) AS gaps FROM (
  SELECT max(instance_number) - min(instance_number) + 1 - count(DISTINCT instance_number) AS gaps,
    count(DISTINCT instance_number) AS numbers
  FROM instance
  WHERE instance_number IS NOT NULL AND study_instance_uid IN (
      SELECT waiting.study_instance_uid FROM delivery JOIN instance AS waiting ON waiting.id = delivery.instance
      WHERE delivery.state = 'gathering' AND delivery.gathering = :id)
    AND (:series IS NULL OR series_instance_uid = :series)
  GROUP BY series_instance_uid
) WHERE gaps < numbers;

-- close_gathering: what comes from now on opens another
DELETE FROM gathering WHERE id = :id;

-- forget_senders: of one that is closed
DELETE FROM gathering_from WHERE gathering = :id;

-- gathering_shown: what is open, for people
SELECT gathering.*, (SELECT count(DISTINCT instance) FROM delivery
                     WHERE state = 'gathering' AND delivery.gathering = gathering.id) AS images
FROM gathering ORDER BY id;
