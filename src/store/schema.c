/* schema.c - the tables as a list of migrations; entry i brings schema version i to i + 1.
 *
 * PRAGMA user_version holds the schema version, application_id says that the file is ours. Each migration runs in one
 * transaction with the new number, so a crash between two leaves a version that is known. Released entries are never
 * edited: stores that have run them would not run them again.
 */
#include "store/schema.h"

#include <stdio.h>

#define APPLICATION_ID 0x5665746e /* "Vetn" */

static const char *const migrations[] = {
    /* 1 */
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE assets ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  format TEXT NOT NULL,"
    "  width INTEGER NOT NULL,"
    "  height INTEGER NOT NULL,"
    "  alpha INTEGER NOT NULL,"
    "  bytes INTEGER NOT NULL,"
    "  name TEXT NOT NULL,"
    "  origin TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  touched_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX assets_touched ON assets (touched_ms);"
    "CREATE TABLE refs ("
    "  owner TEXT NOT NULL,"
    "  asset TEXT NOT NULL REFERENCES assets (id),"
    "  PRIMARY KEY (owner, asset)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX refs_asset ON refs (asset);"
    "CREATE TABLE jobs ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  turn INTEGER NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  model TEXT NOT NULL,"
    "  state TEXT NOT NULL,"
    "  attempts INTEGER NOT NULL,"
    "  request TEXT NOT NULL,"
    "  result TEXT NOT NULL,"
    "  error TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL,"
    "  finished_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX jobs_state ON jobs (state, turn);"
    "CREATE INDEX jobs_turn ON jobs (turn);"
    "CREATE TABLE projects ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  width INTEGER NOT NULL,"
    "  height INTEGER NOT NULL,"
    "  layers INTEGER NOT NULL,"
    "  revision INTEGER NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE history ("
    "  project TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  label TEXT NOT NULL,"
    "  at_ms INTEGER NOT NULL,"
    "  doc TEXT NOT NULL,"
    "  PRIMARY KEY (project, position)) STRICT;",
    /* 2: what clients call their requests, so that one sent again is no second job */
    "CREATE TABLE job_keys ("
    "  key TEXT PRIMARY KEY,"
    "  digest TEXT NOT NULL,"
    "  job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE) STRICT, WITHOUT ROWID;"
    "CREATE INDEX job_keys_job ON job_keys (job);",
    /* 3: the order of projects is that of their changes, whatever the clock says */
    "ALTER TABLE projects ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;" SCHEMA_RANK_PROJECTS
    "CREATE INDEX projects_turn ON projects (turn);",
    /* 4: what an editor remembers: whose job it is and whether its result was taken, a place in the queue given by
     * hand; marks of images, and what a job made them of. What jobs made has the origin "result" from here on. */
    "ALTER TABLE jobs ADD COLUMN project TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN layer TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN candidate TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE jobs ADD COLUMN placed INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX jobs_project ON jobs (project, seq) WHERE project <> '';"
    "ALTER TABLE assets ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE assets ADD COLUMN trashed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE assets ADD COLUMN job TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE assets ADD COLUMN task TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE assets ADD COLUMN model TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE assets ADD COLUMN prompt TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE assets ADD COLUMN seed INTEGER NOT NULL DEFAULT 0;"
    "UPDATE assets SET origin = 'result' WHERE origin = 'job';",
};

enum { NEWEST = sizeof migrations / sizeof migrations[0] };

static enum err_code identify(struct db *db, int64_t *version, struct err *e)
{
    int64_t tables = 0, application = 0;
    TRY(db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, e));
    TRY(db_number(db, "PRAGMA application_id", &application, e));
    TRY(db_number(db, "PRAGMA user_version", version, e));
    if (tables > 0 && application != APPLICATION_ID)
        return err_set(e, ERR_FORMAT, "the database belongs to another program");
    if (*version > NEWEST)
        return err_set(e, ERR_FORMAT,
                       "the database has schema version %lld, made by a newer version of this "
                       "program; this one knows versions up to %d",
                       (long long)*version, NEWEST);
    return ERR_OK;
}

static enum err_code apply(struct db *db, int64_t version, struct err *e)
{
    char mark[96];
    snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %lld;",
             APPLICATION_ID, (long long)version);
    TRY(db_begin(db, e));
    enum err_code rc;
    TRY_GOTO(db_exec(db, migrations[version - 1], e), done);
    rc = db_exec(db, mark, e);
done:
    return db_end(db, rc, e);
}

enum err_code schema_migrate(struct db *db, bool *fresh, struct err *e)
{
    int64_t version = 0;
    enum err_code rc = identify(db, &version, e);
    *fresh = version == 0;
    while (rc == ERR_OK && version < NEWEST)
        rc = apply(db, ++version, e);
    return rc;
}

enum err_code schema_expect(struct db *db, struct err *e)
{
    int64_t version = 0;
    TRY(identify(db, &version, e));
    if (version != NEWEST)
        return err_set(e, ERR_FORMAT,
                       "the database has schema version %lld, not %d: open the store once with "
                       "this program to migrate it",
                       (long long)version, NEWEST);
    return ERR_OK;
}
