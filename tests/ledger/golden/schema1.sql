-- A ledger as gpuctl wrote it at schema 1: events and facts alone.
BEGIN TRANSACTION;
CREATE TABLE events (
    seq  INTEGER PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO "events" VALUES(1,'p1','price','{"from":"2025-03-10T09:00:00Z","id":"p1","kind":"compute","market":"spot","provider":"aws","region":"us-east-1","sku":"p3.2xlarge","type":"price","unit":"hour","usd":"0.9180","v":1,"zone":"us-east-1a"}','030dfda1b71cebb727ee405fa90a35c12a6f7eb6ed466b96e2a8be3da7b494f6');
INSERT INTO "events" VALUES(2,'u1','usage','{"account":"111122223333","end":null,"ended_by":null,"id":"u1","kind":"compute","market":"spot","project":"acme/vision","provider":"aws","quantity":"1","region":"us-east-1","resource":"i-0abc","sku":"p3.2xlarge","start":"2025-03-10T14:05:30Z","type":"usage","v":1,"zone":"us-east-1a"}','877508df7e34fe8d611fd66ac94d83158b5c746fb891487f8f5f8b3e2e9e2695');
INSERT INTO "events" VALUES(3,'u2','usage','{"account":"111122223333","end":"2025-04-10T15:05:30Z","ended_by":"user","id":"u2","kind":"compute","market":"spot","project":"acme/vision","provider":"aws","quantity":"1","region":"us-east-1","resource":"i-0def","sku":"p3.2xlarge","start":"2025-04-10T14:05:30Z","type":"usage","v":1,"zone":"us-east-1a"}','a9508156fa4a668a94f9f77c0ba04bc2ffa6efd299e0765c6a84f5977faa4235');
INSERT INTO "events" VALUES(4,'u1/ended/state-reason','ended','{"end":"2025-03-10T16:18:50Z","ended_by":"user","evidence":"state-reason","id":"u1/ended/state-reason","type":"ended","usage":"u1","v":1}','f04d85c03c49752d377c503db9f05a7ed9b58dc996e961d51a227578932d934e');
INSERT INTO "events" VALUES(5,'a1','adjust','{"at":"2025-03-11T00:00:00Z","id":"a1","note":"credit","project":"acme/vision","type":"adjust","usd":"-0.20","v":1}','39ca37453249e82b243a9b183148098a6bcc9d5335dc9eb085f06219f8ae6ec3');
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT INTO "facts" VALUES('install','0123456789abcdef0123456789abcdef');
INSERT INTO "facts" VALUES('install-hash','8bb8727e57c85f7ad6ac853cac6c2fa22b95055bd789bec24ad88b80276530fc');
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
COMMIT;
PRAGMA application_id = 1735423331;
PRAGMA user_version = 1;
