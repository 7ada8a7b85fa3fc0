-- Events for the control plane. `told` is the line: up to it the control plane has them.

-- pending_events: the oldest events that the control plane has not acknowledged
SELECT sequence, kind, occurred_at, body FROM outbox
WHERE sequence > (SELECT sequence FROM told) AND set_aside IS NULL ORDER BY sequence LIMIT :limit;

-- told: how far it has them, and under which epoch it said so
SELECT epoch, sequence FROM told;

-- drop_told_changes: a delivery's row knows its state; only what an instance was is kept as it was told
DELETE FROM outbox
WHERE sequence > (SELECT sequence FROM told) AND sequence <= :sequence AND set_aside IS NULL AND kind <> 'instance_received';

-- move_told: events up to here are committed centrally
UPDATE told SET sequence = max(sequence, :sequence), epoch = :epoch;

-- move_told_back: the control plane has less than it once acknowledged
UPDATE told SET sequence = :sequence WHERE sequence > :sequence;

-- told_before: when the last event was written that it surely has
SELECT occurred_at FROM outbox WHERE sequence <= :sequence ORDER BY sequence DESC LIMIT 1;

-- changed_since: deliveries that may have changed after that, in portions
SELECT delivery.id FROM delivery JOIN instance ON instance.id = delivery.instance
WHERE delivery.id > :after AND delivery.changed_at >= :since AND instance.policy <> ''
ORDER BY delivery.id LIMIT :limit;

-- forget_told: what was told long ago
DELETE FROM outbox WHERE sequence IN (
  SELECT sequence FROM outbox
  WHERE sequence <= (SELECT sequence FROM told) AND set_aside IS NULL AND occurred_at < :before
  ORDER BY sequence LIMIT :limit);

-- oldest_told: when the oldest of them was written
SELECT occurred_at FROM outbox WHERE sequence <= (SELECT sequence FROM told) AND set_aside IS NULL ORDER BY sequence LIMIT 1;

-- forget_events: a node without a control plane keeps only the newest events
DELETE FROM outbox WHERE sequence <= (SELECT max(sequence) FROM outbox) - :keep;

-- set_aside: the control plane cannot take this event; it is kept, and blocks no other
UPDATE outbox SET set_aside = :reason WHERE sequence = :sequence;

-- copy_set_aside: events that were set aside are told again, under new numbers: the old ones are acknowledged
INSERT INTO outbox (kind, occurred_at, body)
SELECT kind, occurred_at, body FROM outbox WHERE set_aside IS NOT NULL ORDER BY sequence;

-- drop_set_aside: their old numbers
DELETE FROM outbox WHERE set_aside IS NOT NULL;

-- set_aside_count: events that wait for a person
SELECT count(*) AS events FROM outbox WHERE set_aside IS NOT NULL;
