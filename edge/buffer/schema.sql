-- The index of the spool, the delivery queue and the outbox. Times are microseconds since 1970, UTC.
-- Any table can be rebuilt from the spool except what was already delivered, which is then sent once more.

CREATE TABLE instance (
  id INTEGER PRIMARY KEY,
  instance_id TEXT NOT NULL UNIQUE,          -- our own id: the slot that it lies in, and which occupancy of it
  sop_class_uid TEXT NOT NULL,
  sop_instance_uid TEXT NOT NULL,            -- not unique on purpose: every arrival is custody of its own
  study_instance_uid TEXT NOT NULL,
  series_instance_uid TEXT NOT NULL,
  transfer_syntax_uid TEXT NOT NULL,
  calling_ae_title TEXT NOT NULL,
  called_ae_title TEXT NOT NULL,
  peer_address TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  data_set_offset INTEGER NOT NULL,
  data_set_length INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  instance_number INTEGER,                   -- its place in its series, as its sender counts
  policy TEXT NOT NULL,                      -- '' while no policy has routed it
  outcomes TEXT NOT NULL,                    -- JSON: why each route took it or did not
  flags TEXT NOT NULL,                       -- JSON: what was odd about it
  shared_uids TEXT NOT NULL,                 -- JSON: the UIDs as the privacy rule lets the control plane see them
  routed_to INTEGER NOT NULL,                -- how many destinations the policy gave it
  settled_at INTEGER,                        -- when the last of its deliveries was finished
  released_at INTEGER,                       -- when it was delivered everywhere and kept long enough
  vacated INTEGER NOT NULL DEFAULT 0,        -- 1 when nothing of it is in its slot any more
  replaced INTEGER NOT NULL DEFAULT 0,       -- 1 when a newer object of its UID took its place
  standing TEXT NOT NULL CHECK (standing IN ('waiting', 'quarantined', 'parked', 'delivered', 'ended', 'repeated'))
) STRICT;
CREATE INDEX instance_by_sop ON instance (sop_instance_uid);
CREATE INDEX instance_by_study ON instance (study_instance_uid);
CREATE INDEX instance_unrouted ON instance (id) WHERE policy = '' AND released_at IS NULL;
CREATE INDEX instance_nowhere ON instance (id) WHERE routed_to = 0 AND released_at IS NULL;
CREATE INDEX instance_held ON instance (received_at) WHERE released_at IS NULL;
CREATE INDEX instance_settled ON instance (settled_at) WHERE settled_at IS NOT NULL AND released_at IS NULL;
CREATE INDEX instance_in_slot ON instance (substr(instance_id, 1, 16)) WHERE vacated = 0;
CREATE INDEX instance_leaving ON instance (id) WHERE released_at IS NOT NULL AND vacated = 0;
CREATE INDEX instance_replaced ON instance (id) WHERE replaced = 1 AND released_at IS NULL;
CREATE INDEX instance_gone ON instance (released_at) WHERE vacated = 1;
-- No index on any patient attribute on purpose: the edge never searches by person.

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY,
  instance INTEGER NOT NULL REFERENCES instance (id),
  destination TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('due', 'sending', 'retry_wait', 'delivered', 'parked', 'superseded',
                                       'gathering', 'quarantined', 'held', 'discarded', 'verifying')),
  attempts INTEGER NOT NULL DEFAULT 0,
  not_before INTEGER NOT NULL DEFAULT 0,     -- retry_wait -> due, or verifying -> asked, when it has passed
  lease_until INTEGER NOT NULL DEFAULT 0,    -- sending -> due when it has passed
  dimse_status INTEGER NOT NULL DEFAULT 0,   -- the peer's own last word
  reason TEXT NOT NULL DEFAULT '',
  changed_at INTEGER NOT NULL,
  priority INTEGER NOT NULL DEFAULT 1 CHECK (priority IN (0, 1, 2)), -- stat, normal, bulk
  gathering INTEGER,                         -- what it waits for, or did: `gathering.id`, which never comes again
  UNIQUE (instance, destination)
) STRICT;
CREATE INDEX delivery_due ON delivery (destination, priority, attempts, id) WHERE state = 'due';
CREATE INDEX delivery_waiting ON delivery (destination, not_before, priority) WHERE state = 'retry_wait';
CREATE INDEX delivery_sending ON delivery (lease_until) WHERE state = 'sending';
CREATE INDEX delivery_on_its_way ON delivery (id, state) WHERE state IN ('due', 'sending', 'retry_wait', 'verifying');
CREATE INDEX delivery_unfinished ON delivery (destination, state) WHERE state NOT IN ('delivered', 'superseded', 'discarded');
CREATE INDEX delivery_gathering ON delivery (gathering) WHERE state = 'gathering';
CREATE INDEX delivery_verifying ON delivery (destination, not_before) WHERE state = 'verifying';
CREATE INDEX delivery_parked ON delivery (destination, id) WHERE state = 'parked';

-- What a destination is asked for that acknowledged an instance and has not yet said that it holds it.
CREATE TABLE proof (
  delivery INTEGER PRIMARY KEY REFERENCES delivery (id),
  study TEXT NOT NULL,                       -- the UIDs as they were sent
  series TEXT NOT NULL,
  sop TEXT NOT NULL,
  asked INTEGER NOT NULL DEFAULT 0,          -- how often since it was sent last
  missing INTEGER NOT NULL DEFAULT 0         -- how often it was sent again because it was not there
) STRICT;

-- How many rows `delivery` holds, by state and priority: counting a million every two seconds costs too much. Kept by
-- the database itself, so no statement can forget it.
CREATE TABLE tally (
  state TEXT NOT NULL,
  priority INTEGER NOT NULL,
  deliveries INTEGER NOT NULL,
  PRIMARY KEY (state, priority)
) STRICT, WITHOUT ROWID;
INSERT INTO tally (state, priority, deliveries)
SELECT states.value, priorities.value, 0
FROM json_each('["due", "sending", "retry_wait", "delivered", "parked", "superseded",
                "gathering", "quarantined", "held", "discarded", "verifying"]') AS states,
  json_each('[0, 1, 2]') AS priorities;
CREATE TRIGGER delivery_added AFTER INSERT ON delivery BEGIN
  UPDATE tally SET deliveries = deliveries + 1 WHERE state = NEW.state AND priority = NEW.priority;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF state, priority ON delivery
WHEN OLD.state <> NEW.state OR OLD.priority <> NEW.priority BEGIN
  UPDATE tally SET deliveries = deliveries - 1 WHERE state = OLD.state AND priority = OLD.priority;
  UPDATE tally SET deliveries = deliveries + 1 WHERE state = NEW.state AND priority = NEW.priority;
END;
CREATE TRIGGER delivery_forgotten AFTER DELETE ON delivery BEGIN
  UPDATE tally SET deliveries = deliveries - 1 WHERE state = OLD.state AND priority = OLD.priority;
END;

-- Where each accepted instance stands, which is where the worst of its deliveries stands: a person is needed for the
-- object (quarantined), or for a destination (parked; also when no route takes it), it goes on by itself (waiting), it
-- arrived everywhere (delivered), or a person or a newer object ended what was left of it (ended). What came twice with
-- the same bytes is one arrival: the second row is `repeated`, and not counted.
CREATE TABLE standings (
  standing TEXT PRIMARY KEY,
  instances INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO standings (standing, instances)
SELECT value, 0 FROM json_each('["waiting", "quarantined", "parked", "delivered", "ended"]');
CREATE TRIGGER instance_stands AFTER INSERT ON instance BEGIN
  UPDATE standings SET instances = instances + 1 WHERE standing = NEW.standing;
END;
CREATE TRIGGER instance_moved AFTER UPDATE OF standing ON instance WHEN OLD.standing <> NEW.standing BEGIN
  UPDATE standings SET instances = instances - 1 WHERE standing = OLD.standing;
  UPDATE standings SET instances = instances + 1 WHERE standing = NEW.standing;
END;
CREATE TRIGGER instance_forgotten AFTER DELETE ON instance BEGIN
  UPDATE standings SET instances = instances - 1 WHERE standing = OLD.standing;
END;
-- What is finished with its last delivery gets its standing in the statement that says so (`settle_instances`): another
-- change of that row would make each delivery a third dearer.
CREATE TRIGGER delivery_turned AFTER UPDATE OF state ON delivery
WHEN (OLD.state IN ('parked', 'quarantined') OR NEW.state IN ('parked', 'quarantined')) AND OLD.state <> NEW.state BEGIN
  UPDATE instance SET standing = (
    SELECT CASE WHEN sum(state = 'quarantined') THEN 'quarantined'
                WHEN sum(state = 'parked') THEN 'parked'
                WHEN sum(state NOT IN ('delivered', 'superseded', 'discarded')) THEN 'waiting'
                WHEN sum(state <> 'delivered') THEN 'ended'
                ELSE 'delivered' END
    FROM delivery WHERE instance = NEW.instance)
  WHERE id = NEW.instance;
END;

-- Series and studies that routes wait for. A row is open: it goes with the last of its deliveries that gather, and an
-- image that comes later opens another. Times are counted while the node runs (`completeness.py`), in microseconds.
CREATE TABLE gathering (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  route TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('series', 'study')),
  uid TEXT NOT NULL,
  quiet INTEGER NOT NULL,
  at_most INTEGER NOT NULL,
  missing_quiet INTEGER NOT NULL,            -- instead of `quiet` while announced images are missing
  quiet_for INTEGER NOT NULL DEFAULT 0,
  open_for INTEGER NOT NULL DEFAULT 0,
  UNIQUE (route, scope, uid)
) STRICT;
CREATE TABLE gathering_from (
  gathering INTEGER NOT NULL,
  association INTEGER NOT NULL,              -- its number; while it is open, more may come
  PRIMARY KEY (gathering, association)
) STRICT, WITHOUT ROWID;

-- What modalities announce: the performed procedure steps that they report (MPPS), and the UIDs that these, and requests
-- for storage commitment, name. Nothing of patients is kept of either.
CREATE TABLE procedure_step (
  uid TEXT PRIMARY KEY,
  study TEXT NOT NULL,                        -- '' when it names none, or several
  finished INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX procedure_step_unfinished ON procedure_step (study) WHERE finished = 0;
CREATE INDEX procedure_step_changed ON procedure_step (changed_at);
CREATE TABLE expectation (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL CHECK (source IN ('step', 'commitment')),
  of TEXT NOT NULL,                           -- the step's UID, or the transaction's
  study TEXT NOT NULL,                        -- '' while nobody knows, '-' when it is of several
  series TEXT NOT NULL,                       -- as `study`
  final INTEGER NOT NULL,                     -- 1 when it names all that there will be
  named INTEGER NOT NULL DEFAULT 0,
  missing INTEGER NOT NULL DEFAULT 0,         -- how many of those have not come; a trigger keeps it
  changed_at INTEGER NOT NULL,
  gone_at INTEGER,                            -- when its series or study went on without what was missing
  gone_gathering INTEGER NOT NULL DEFAULT 0   -- the last `gathering.id` that waited for it longer
) STRICT;
CREATE INDEX expectation_of ON expectation (of);
CREATE INDEX expectation_by_study ON expectation (study);
CREATE INDEX expectation_by_series ON expectation (series);
CREATE INDEX expectation_changed ON expectation (changed_at);
CREATE INDEX expectation_met ON expectation (changed_at) WHERE missing = 0 AND final = 1;
CREATE INDEX expectation_unmet ON expectation (gone_at) WHERE missing > 0 AND gone_at IS NOT NULL;
CREATE TABLE expected (
  uid TEXT NOT NULL,
  expectation INTEGER NOT NULL REFERENCES expectation (id) ON DELETE CASCADE,
  here INTEGER NOT NULL,                      -- 1 when it is here, or was
  PRIMARY KEY (uid, expectation)
) STRICT, WITHOUT ROWID;
CREATE INDEX expected_by_expectation ON expected (expectation, here);
CREATE TRIGGER expected_arrived AFTER UPDATE OF here ON expected WHEN OLD.here = 0 AND NEW.here = 1 BEGIN
  UPDATE expectation SET missing = missing - 1 WHERE id = NEW.expectation;
END;

-- What a person changes in an object before it is sent, beside the transforms of its destinations. Its file stays as it is.
CREATE TABLE fix (
  instance INTEGER PRIMARY KEY REFERENCES instance (id),
  steps TEXT NOT NULL,                        -- JSON: a transform, as values
  written_at INTEGER NOT NULL
) STRICT;

-- What people did to the queue: who, what they asked for, and how much it was.
CREATE TABLE deed (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  done_at INTEGER NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  choice TEXT NOT NULL,                       -- JSON: the filter
  reason TEXT NOT NULL,
  deliveries INTEGER NOT NULL
) STRICT;

-- What people asked of instances before the index was lost, until their deliveries are made anew.
CREATE TABLE asked (
  instance_id TEXT NOT NULL,
  destination TEXT NOT NULL,                  -- '' for what is of the instance: its fix
  standing TEXT NOT NULL CHECK (standing IN ('', 'held', 'discarded')),
  sent_here INTEGER NOT NULL,                 -- by a person, not by a route
  reason TEXT NOT NULL,
  steps TEXT NOT NULL,
  PRIMARY KEY (instance_id, destination)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused within an epoch, also after rows are gone
  kind TEXT NOT NULL,
  occurred_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  set_aside TEXT                              -- why the control plane could not take it; kept for a person
) STRICT;
CREATE INDEX outbox_set_aside ON outbox (sequence) WHERE set_aside IS NOT NULL;

-- How far the control plane has the outbox. What instances were is kept for some days behind this line: a control
-- plane that was restored from a backup is told again.
CREATE TABLE told (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL,                       -- the one under which it said so
  sequence INTEGER NOT NULL
) STRICT;
INSERT INTO told (id, epoch, sequence) VALUES (1, '', 0);

-- Slots that hold nothing. One without an owner is wiped, on the disk; an ingest process owns it before it writes.
CREATE TABLE free_slot (
  slot TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  generation INTEGER NOT NULL,               -- its last occupancy: an old seal in it is nobody's
  owner TEXT                                 -- the first shelf of the process that may write into it
) STRICT, WITHOUT ROWID;
CREATE INDEX free_slot_ready ON free_slot (size) WHERE owner IS NULL;
CREATE INDEX free_slot_owned ON free_slot (owner) WHERE owner IS NOT NULL;

-- Shelves on which every file was proven to have its row, and on which no process makes files any more.
CREATE TABLE closed_shelf (
  shelf TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE note (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL,
  written_at INTEGER NOT NULL
) STRICT;
