-- Objects that come back from a destination.

-- delivered_before: who answered success for an object of this UID, also when it has left the spool since
SELECT instance.id, instance.peer_address, instance.flags, delivery.destination,
  instance.data_set_length = :length AND instance.checksum = :checksum AS same
FROM instance JOIN delivery ON delivery.instance = instance.id
WHERE instance.sop_instance_uid = :uid AND instance.instance_id <> :instance_id
  AND delivery.state IN ('delivered', 'verifying')
ORDER BY instance.id DESC;

-- unfinished_of: deliveries of one instance that are still to be made
SELECT id, destination, state FROM delivery
WHERE instance = :instance AND state IN ('gathering', 'due') ORDER BY id;
