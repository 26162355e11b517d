#ifdef __linux__
#define _GNU_SOURCE
#include "CEpoll.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct tundish_event) == sizeof(struct epoll_event), "layout of epoll_event");
_Static_assert(tundish_readable == EPOLLIN && tundish_writable == EPOLLOUT, "bits of epoll_event");
_Static_assert(tundish_broken == (EPOLLERR | EPOLLHUP) && tundish_peer_closed == EPOLLRDHUP, "bits of epoll_event");

static _Thread_local void *own_loop;

void *tundish_own_loop(void) { return own_loop; }

void tundish_set_own_loop(void *loop) { own_loop = loop; }

int tundish_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int tundish_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int tundish_epoll_add(int epoll, int socket, uint32_t events, uint64_t mark) {
    struct epoll_event event = {.events = events | EPOLLET, .data.u64 = mark};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
}

int tundish_epoll_remove(int epoll, int socket) {
    struct epoll_event event = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, socket, &event);
}

int tundish_epoll_wait(int epoll, struct tundish_event *events, int count, int milliseconds) {
    return epoll_wait(epoll, (struct epoll_event *)events, count, milliseconds);
}

int tundish_accept(int listener, void *address, uint32_t *length) {
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

long tundish_send(int socket, const void *bytes, unsigned long count) {
    return send(socket, bytes, count, MSG_NOSIGNAL);
}

int tundish_ip(const void *address, unsigned char *bytes, int *port) {
    if (((const struct sockaddr *)address)->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = address;
        memcpy(bytes, &v4->sin_addr, 4);
        *port = ntohs(v4->sin_port);
        return 4;
    }
    if (((const struct sockaddr *)address)->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = address;
        memcpy(bytes, &v6->sin6_addr, 16);
        *port = ntohs(v6->sin6_port);
        return 6;
    }
    return 0;
}

void tundish_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
#endif
