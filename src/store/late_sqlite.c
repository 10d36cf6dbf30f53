/* late_sqlite.c - the functions of SQLite that we call; it is opened with the first database (base/late.h). */
#include "store/db.h"

#define SQLITE_FUNCTIONS(X)                                                                        \
    X(sqlite3_backup_finish)                                                                       \
    X(sqlite3_backup_init)                                                                         \
    X(sqlite3_backup_step)                                                                         \
    X(sqlite3_bind_int64)                                                                          \
    X(sqlite3_bind_text64)                                                                         \
    X(sqlite3_bind_value)                                                                          \
    X(sqlite3_changes64)                                                                           \
    X(sqlite3_clear_bindings)                                                                      \
    X(sqlite3_close)                                                                               \
    X(sqlite3_column_bytes)                                                                        \
    X(sqlite3_column_int64)                                                                        \
    X(sqlite3_column_text)                                                                         \
    X(sqlite3_column_value)                                                                        \
    X(sqlite3_create_function_v2)                                                                  \
    X(sqlite3_db_config)                                                                           \
    X(sqlite3_errmsg)                                                                              \
    X(sqlite3_exec)                                                                                \
    X(sqlite3_extended_errcode)                                                                    \
    X(sqlite3_finalize)                                                                            \
    X(sqlite3_get_autocommit)                                                                      \
    X(sqlite3_limit)                                                                               \
    X(sqlite3_memory_used)                                                                         \
    X(sqlite3_open_v2)                                                                             \
    X(sqlite3_prepare_v2)                                                                          \
    X(sqlite3_prepare_v3)                                                                          \
    X(sqlite3_reset)                                                                               \
    X(sqlite3_result_error_nomem)                                                                  \
    X(sqlite3_result_int)                                                                          \
    X(sqlite3_sql)                                                                                 \
    X(sqlite3_step)                                                                                \
    X(sqlite3_system_errno)                                                                        \
    X(sqlite3_user_data)                                                                           \
    X(sqlite3_value_bytes)                                                                         \
    X(sqlite3_value_text)

LATE_LIBRARY(store_sqlite, "keeping images, projects and jobs", SQLITE_FUNCTIONS)
