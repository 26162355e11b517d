#include "postgres.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>

typedef tundish_pq_connection connection_t;
typedef tundish_pq_result result_t;

static struct {
    connection_t *(*connect)(const char *const *, const char *const *, int);
    int (*status)(const connection_t *);
    char *(*error)(const connection_t *);
    int (*socket)(const connection_t *);
    void (*finish)(connection_t *);
    int (*send)(connection_t *, const char *);
    result_t *(*next)(connection_t *);
    result_t *(*run)(
        connection_t *, const char *, int, const unsigned *, const char *const *, const int *, const int *, int);
    int (*put)(connection_t *, const char *, int);
    int (*end)(connection_t *, const char *);
    int (*result_status)(const result_t *);
    int (*rows)(const result_t *);
    char *(*value)(const result_t *, int, int);
    char *(*field)(const result_t *, int);
    char *(*result_error)(const result_t *);
    void (*clear)(result_t *);
    int (*columns)(const result_t *);
} library;

static const char *failure;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
    static const char *const names[] = {"libpq.so.5", "libpq.5.dylib", "libpq.so", NULL};
    void *handle = NULL;
    for (int index = 0; names[index] != NULL && handle == NULL; index++) handle = dlopen(names[index], RTLD_NOW);
    if (handle == NULL) {
        failure = dlerror();
        if (failure == NULL) failure = "libpq.so.5 cannot be loaded";
        return;
    }
    struct {
        void **place;
        const char *name;
    } const calls[] = {
        {(void **)&library.connect, "PQconnectdbParams"}, {(void **)&library.status, "PQstatus"},
        {(void **)&library.error, "PQerrorMessage"},      {(void **)&library.finish, "PQfinish"},
        {(void **)&library.send, "PQsendQuery"},          {(void **)&library.next, "PQgetResult"},
        {(void **)&library.run, "PQexecParams"},          {(void **)&library.put, "PQputCopyData"},
        {(void **)&library.end, "PQputCopyEnd"},          {(void **)&library.result_status, "PQresultStatus"},
        {(void **)&library.rows, "PQntuples"},            {(void **)&library.value, "PQgetvalue"},
        {(void **)&library.field, "PQresultErrorField"},  {(void **)&library.result_error, "PQresultErrorMessage"},
        {(void **)&library.clear, "PQclear"},             {(void **)&library.columns, "PQnfields"},
        {(void **)&library.socket, "PQsocket"},
    };
    for (size_t index = 0; index < sizeof calls / sizeof calls[0]; index++) {
        *calls[index].place = dlsym(handle, calls[index].name);
        if (*calls[index].place == NULL) {
            failure = calls[index].name;
            return;
        }
    }
}

const char *tundish_pq_load(void) {
    pthread_once(&once, load);
    return failure;
}

connection_t *tundish_pq_connect(const char *const *keywords, const char *const *values) {
    // 1: the value of `dbname` may be a URL.
    return library.connect(keywords, values, 1);
}
int tundish_pq_is_connected(const connection_t *connection) { return library.status(connection) == 0; }
const char *tundish_pq_error(const connection_t *connection) { return library.error(connection); }
int tundish_pq_socket(const connection_t *connection) { return library.socket(connection); }
void tundish_pq_interrupt(int socket) { shutdown(socket, SHUT_RDWR); }
void tundish_pq_finish(connection_t *connection) { library.finish(connection); }
int tundish_pq_send(connection_t *connection, const char *sql) { return library.send(connection, sql); }
result_t *tundish_pq_next(connection_t *connection) { return library.next(connection); }
result_t *tundish_pq_run(connection_t *connection, const char *sql, int count, const char *const *values) {
    return library.run(connection, sql, count, NULL, values, NULL, NULL, 0);
}
int tundish_pq_put(connection_t *connection, const char *bytes, int count) {
    return library.put(connection, bytes, count);
}
int tundish_pq_end(connection_t *connection, const char *error) { return library.end(connection, error); }
int tundish_pq_status(const result_t *result) { return library.result_status(result); }
int tundish_pq_rows(const result_t *result) { return library.rows(result); }
const char *tundish_pq_value(const result_t *result, int row, int column) {
    return library.value(result, row, column);
}
const char *tundish_pq_field(const result_t *result, int field) { return library.field(result, field); }
const char *tundish_pq_result_error(const result_t *result) { return library.result_error(result); }
void tundish_pq_clear(result_t *result) { library.clear(result); }
int tundish_pq_columns(const result_t *result) { return library.columns(result); }
