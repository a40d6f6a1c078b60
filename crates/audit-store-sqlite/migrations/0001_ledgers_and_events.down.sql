-- Takes migration 1 back: everything goes. Children before parents.
DROP TABLE verification_run;
DROP TABLE cursor;
DROP TABLE api_key_organization;
DROP TABLE api_key;
DROP TABLE lease;
DROP TABLE dead_letter;
DROP TABLE receipt_total;
DROP TABLE receipt;
DROP TABLE checkpoint;
DROP TABLE audit_event;
DROP TABLE ledger_control;
DROP TABLE ledger_tile;
DROP TABLE ledger_chunk;
DROP TABLE ledger_head;
DROP TABLE ledger;
DROP TABLE meta;
