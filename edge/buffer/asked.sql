-- What people asked of instances whose deliveries this index does not have yet: out of their journal.

-- any_asked: whether there is any
SELECT 1 AS one FROM asked LIMIT 1;

-- ask: this stands, whatever stood before
INSERT INTO asked (instance_id, destination, standing, sent_here, reason, steps)
VALUES (:instance_id, :destination, :standing, :sent_here, :reason, :steps)
ON CONFLICT DO UPDATE SET standing = excluded.standing, sent_here = excluded.sent_here, reason = excluded.reason,
  steps = excluded.steps;

-- asked_of: of one instance
SELECT * FROM asked WHERE instance_id = :instance_id;

-- forget_asked: it was done
DELETE FROM asked WHERE instance_id = :instance_id;

-- routed_among: those of these instances that have their deliveries
SELECT id, instance_id, received_at FROM instance
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND policy <> '';

-- delivery_to: the delivery of an instance to one destination
SELECT id FROM delivery WHERE instance = :instance AND destination = :destination;

-- recall_deed: it was done before; once
INSERT INTO deed (done_at, who, action, choice, reason, deliveries)
SELECT :now, :who, :action, :choice, :reason, :deliveries
WHERE NOT EXISTS (SELECT 1 FROM deed WHERE done_at = :now AND action = :action);

-- named_deliveries: which instances and destinations these are
SELECT delivery.destination, json_group_array(instance.instance_id) AS instances
FROM delivery JOIN instance ON instance.id = delivery.instance
WHERE delivery.id IN (SELECT value FROM json_each(:ids)) GROUP BY delivery.destination;

-- forget_strangers: nothing of them is here any more
DELETE FROM asked WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.instance_id = asked.instance_id);
