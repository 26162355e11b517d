#ifndef TUNDISH_CPOSTGRES_H
#define TUNDISH_CPOSTGRES_H

// The calls of PostgreSQL's client library that the sink needs. The library (libpq.so.5) is loaded when the first
// connection is made, so that the binary runs where it is not installed; its headers are not needed to build.
// Names and meanings: PostgreSQL 15 documentation, chapter 34.

typedef struct tundish_pq_connection tundish_pq_connection;
typedef struct tundish_pq_result tundish_pq_result;

// ExecStatusType, as far as it is looked at.
enum {
    tundish_pq_command_ok = 1,
    tundish_pq_tuples_ok = 2,
    tundish_pq_copy_in = 4,
};

// Fields of an error report (PQresultErrorField).
enum {
    tundish_pq_sqlstate = 'C',
    tundish_pq_message = 'M',
    tundish_pq_detail = 'D',
    tundish_pq_context = 'W',
    tundish_pq_column_name = 'c',
};

// Null when the library is there; else why not. Safe to call from several threads; does its work once.
const char *tundish_pq_load(void);

// The rest is only to be called after tundish_pq_load has returned null.
tundish_pq_connection *tundish_pq_connect(const char *const *keywords, const char *const *values);
int tundish_pq_is_connected(const tundish_pq_connection *connection);
const char *tundish_pq_error(const tundish_pq_connection *connection);
// The connection's socket, -1 without one.
int tundish_pq_socket(const tundish_pq_connection *connection);
// Ends what another thread waits for on the socket.
void tundish_pq_interrupt(int socket);
void tundish_pq_finish(tundish_pq_connection *connection);
int tundish_pq_send(tundish_pq_connection *connection, const char *sql);
tundish_pq_result *tundish_pq_next(tundish_pq_connection *connection);
tundish_pq_result *tundish_pq_run(
    tundish_pq_connection *connection, const char *sql, int count, const char *const *values);
int tundish_pq_put(tundish_pq_connection *connection, const char *bytes, int count);
// `error` null: all is there.
int tundish_pq_end(tundish_pq_connection *connection, const char *error);
int tundish_pq_status(const tundish_pq_result *result);
int tundish_pq_rows(const tundish_pq_result *result);
int tundish_pq_columns(const tundish_pq_result *result);
const char *tundish_pq_value(const tundish_pq_result *result, int row, int column);
// Null where the server does not say.
const char *tundish_pq_field(const tundish_pq_result *result, int field);
const char *tundish_pq_result_error(const tundish_pq_result *result);
void tundish_pq_clear(tundish_pq_result *result);

#endif
