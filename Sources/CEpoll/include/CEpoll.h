#ifndef TUNDISH_CEPOLL_H
#define TUNDISH_CEPOLL_H

// Linux' event calls, which Swift's C library module leaves out. Empty elsewhere. No header of the C library is
// included here: Swift would take its declarations for this module's.
#ifdef __linux__

#include <stdint.h>

// The layout of `struct epoll_event`.
#ifdef __x86_64__
struct __attribute__((packed)) tundish_event {
#else
struct tundish_event {
#endif
    uint32_t events;
    uint64_t mark;
};

// Bits of `events`.
enum {
    tundish_readable = 0x001,
    tundish_writable = 0x004,
    tundish_broken = 0x008 | 0x010,
    // The peer sends no more.
    tundish_peer_closed = 0x2000,
};

// A new epoll instance or event counter, closed on exec; -1 and errno on failure, as below.
int tundish_epoll_create(void);
int tundish_eventfd(void);

// Has `socket` reported, edge triggered, with `mark`.
int tundish_epoll_add(int epoll, int socket, uint32_t events, uint64_t mark);
int tundish_epoll_remove(int epoll, int socket);
int tundish_epoll_wait(int epoll, struct tundish_event *events, int count, int milliseconds);

// Like accept4 with a socket that does not block and is closed on exec. `address` has room for `*length` bytes.
int tundish_accept(int listener, void *address, uint32_t *length);

// send without SIGPIPE.
long tundish_send(int socket, const void *bytes, unsigned long count);

// The IP version of a socket address, 4 or 6, its 4 or 16 bytes in network order and its port; 0 for another family.
int tundish_ip(const void *address, unsigned char *bytes, int *port);

// Names the calling thread; at most 15 characters.
void tundish_name_thread(const char *name);

// The event loop that runs on the calling thread; null on others.
void *tundish_own_loop(void);
void tundish_set_own_loop(void *loop);

#endif
#endif
