/* schema.h - the database's tables and how older ones become newer ones. Only for this folder.
 *
 *     meta      key, value                                   settings of the store
 *     assets    seq, id, format, width, height, alpha, bytes, name, origin, created_ms, touched_ms, starred, trashed;
 *               of a result also job, task, model, prompt, seed
 *     refs      owner, asset       owner: "j:<job>" or "p:<project>:<position>"; keeps an asset alive
 *     jobs      seq, id, turn, kind, model, state, attempts, request, result, error, times, project, layer, candidate,
 *               placed
 *     projects  seq, id, name, width, height, layers, revision, position, created_ms, updated_ms
 *     history   project, position, label, at_ms, doc         undo points; doc is JSON
 *
 * A migration is never changed once it was released; the next one goes below it in schema.c. */
#ifndef VT_STORE_SCHEMA_H
#define VT_STORE_SCHEMA_H

#include "store/db.h"

/* For projects that have no turn yet: the times are all that is known of their order. */
#define SCHEMA_RANK_PROJECTS                                                                       \
    "UPDATE projects SET turn = (SELECT count(*) FROM projects o"                                  \
    " WHERE o.updated_ms < projects.updated_ms"                                                    \
    " OR (o.updated_ms = projects.updated_ms AND o.seq <= projects.seq));"

/* Brings the database to the newest schema version. *fresh: it was empty. ERR_FORMAT when a newer program, or
 * another one, made it. */
ERR_MUST_CHECK enum err_code schema_migrate(struct db *db, bool *fresh, struct err *e);
/* ERR_FORMAT unless it has the newest version already. */
ERR_MUST_CHECK enum err_code schema_expect(struct db *db, struct err *e);

#endif
