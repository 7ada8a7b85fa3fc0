-- Instances that modalities said they made (MPPS) or asked us to keep (storage commitment), before or after they came.

-- steps_known: how many performed procedure steps are remembered
SELECT count(*) AS steps FROM procedure_step;

-- named_in_all: how many UIDs all expectations name together
SELECT coalesce(sum(named), 0) AS named FROM expectation;

-- begin_step: a performed procedure step; nothing when there is one under this UID
INSERT INTO procedure_step (uid, study, finished, changed_at) VALUES (:uid, :study, :finished, :now)
ON CONFLICT (uid) DO NOTHING RETURNING uid;

-- step: one of them
SELECT uid, study, finished FROM procedure_step WHERE uid = :uid;

-- change_step: its newest state
UPDATE procedure_step SET finished = :finished, study = :study, changed_at = :now WHERE uid = :uid;

-- finish_expectations: what it named by now is all that it made
UPDATE expectation SET final = :final, changed_at = :now WHERE source = 'step' AND of = :of;

-- drop_expectations: it names others now; its UIDs go with it
DELETE FROM expectation WHERE source = :source AND of = :of;

-- add_expectation: a series of a step, or all that one commitment request names
INSERT INTO expectation (source, of, study, series, final, changed_at)
VALUES (:source, :of, :study, :series, :final, :now) RETURNING id;

-- add_expected: its UIDs, and which of them are here, or were
INSERT INTO expected (uid, expectation, here)
SELECT DISTINCT value, :id, EXISTS (SELECT 1 FROM instance WHERE sop_instance_uid = value) FROM json_each(:uids);

-- count_expected: how many that are
UPDATE expectation SET named = (SELECT count(*) FROM expected WHERE expectation = :id),
  missing = (SELECT count(*) FROM expected WHERE expectation = :id AND here = 0)
WHERE id = :id;

-- where_they_are: the series that hold some of these
SELECT DISTINCT study_instance_uid AS study, series_instance_uid AS series FROM instance
WHERE sop_instance_uid IN (SELECT value FROM json_each(:uids));

-- in_custody: which of these lie in the spool and are not given up, and their classes
SELECT sop_instance_uid AS uid, sop_class_uid AS sop_class FROM instance
WHERE released_at IS NULL AND standing <> 'ended' AND sop_instance_uid IN (SELECT value FROM json_each(:uids));

-- expected_came: these are here now
UPDATE expected SET here = 1 WHERE here = 0 AND uid IN (SELECT value FROM json_each(:uids)) RETURNING uid, expectation;

-- place_expectation: whose study and series they are; '-' when they are of several
UPDATE expectation SET
  study = CASE WHEN source = 'step' OR study IN ('', :study) THEN :study ELSE '-' END,
  series = CASE WHEN source = 'step' OR series = :series THEN series WHEN series = '' THEN :series ELSE '-' END
WHERE id = :id;

-- expected_of_study: what is expected of it, for a look each second
SELECT id, source, named, missing, final, gone_gathering FROM expectation WHERE study = :uid;

-- expected_of_series: what is expected of it
SELECT id, source, named, missing, final, gone_gathering FROM expectation WHERE series = :uid;

-- step_goes_on: whether a modality still works on this study
SELECT EXISTS (SELECT 1 FROM procedure_step WHERE study = :uid AND finished = 0) AS goes_on;

-- not_named: whether something of this series or study waits that none of these names
SELECT EXISTS (
  SELECT 1 FROM delivery JOIN instance ON instance.id = delivery.instance
  WHERE delivery.state = 'gathering' AND delivery.gathering = :gathering
    AND NOT EXISTS (SELECT 1 FROM expected WHERE uid = instance.sop_instance_uid
                    AND expectation IN (SELECT value FROM json_each(:expectations)))
) AS others;

-- expected_counts: how many are named by these, each once, and how many of them are not here
SELECT count(DISTINCT uid) AS named, count(DISTINCT CASE WHEN here = 0 THEN uid END) AS missing
FROM expected WHERE expectation IN (SELECT value FROM json_each(:expectations));

-- went_without: a series or study went on without what is missing of these
UPDATE expectation SET gone_at = :now, gone_gathering = (SELECT max(id) FROM gathering) WHERE missing > 0 AND id IN (SELECT value FROM json_each(:expectations));

-- still_missing: how many images are missing where a series or study went on without them since then
SELECT count(DISTINCT expected.uid) AS images, count(DISTINCT expectation.study) AS studies
FROM expectation JOIN expected ON expected.expectation = expectation.id
WHERE expectation.missing > 0 AND expectation.gone_at > :since AND expected.here = 0;

-- studies_of: of these instances
SELECT DISTINCT study_instance_uid AS study FROM instance WHERE id IN (SELECT value FROM json_each(:ids));

-- forget_expectations: of studies of which nothing is remembered
DELETE FROM expectation WHERE study IN (SELECT value FROM json_each(:studies))
  AND NOT EXISTS (SELECT 1 FROM instance WHERE study_instance_uid = expectation.study);

-- forget_steps: of studies of which nothing is remembered
DELETE FROM procedure_step WHERE study IN (SELECT value FROM json_each(:studies))
  AND NOT EXISTS (SELECT 1 FROM instance WHERE study_instance_uid = procedure_step.study);

-- done_with: what came an hour ago and no gathering waits for, and what never came in days
SELECT id FROM (
  SELECT id FROM expectation WHERE missing = 0 AND final = 1 AND changed_at < :met
    AND NOT EXISTS (SELECT 1 FROM gathering WHERE gathering.uid IN (expectation.study, expectation.series))
  LIMIT :limit)
UNION SELECT id FROM (SELECT id FROM expectation WHERE changed_at < :unmet LIMIT :limit);

-- old_steps: whether a step was heard of so long ago
SELECT EXISTS (SELECT 1 FROM procedure_step WHERE changed_at < :unmet) AS old;

-- drop_done: and their UIDs with them
DELETE FROM expectation WHERE id IN (SELECT value FROM json_each(:ids));

-- forget_old_steps: heard of before this time
DELETE FROM procedure_step WHERE changed_at < :unmet;
