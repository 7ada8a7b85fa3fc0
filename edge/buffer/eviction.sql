-- Delivered studies that leave because the disk fills.

-- evictable_studies: the oldest of those of which something is finished everywhere; an instance without a study is one
SELECT study, evictable_bytes, coalesce(
  (SELECT max(received_at) FROM instance WHERE study_instance_uid = study AND released_at IS NULL), own) AS last_arrival
FROM (SELECT CASE study_instance_uid WHEN '' THEN instance_id ELSE study_instance_uid END AS study,
        max(received_at) AS own, sum(data_set_offset + data_set_length) AS evictable_bytes
      FROM instance WHERE settled_at IS NOT NULL AND released_at IS NULL GROUP BY 1)
ORDER BY last_arrival LIMIT :limit;

-- evict: what is finished everywhere of one study; nothing else, whatever was planned
UPDATE instance SET released_at = :now
WHERE id IN (
  SELECT id FROM instance
  WHERE (study_instance_uid = :study OR (instance_id = :study AND study_instance_uid = ''))
    AND released_at IS NULL AND settled_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.instance = instance.id
                      AND state NOT IN ('delivered', 'superseded', 'discarded'))
  ORDER BY id LIMIT :limit)
RETURNING data_set_offset + data_set_length AS bytes;

-- leaving_bytes: released, and still in their slots
SELECT coalesce(sum(data_set_offset + data_set_length), 0) AS bytes FROM instance
WHERE released_at IS NOT NULL AND vacated = 0;
