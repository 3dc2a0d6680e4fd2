// Batches. The set is watched level-triggered: a TAP that was not read empty is reported again, at the tail of the
// kernel's ready list, so nothing is lost when a batch ends early and no TAP starves another. In one call every reported
// TAP gets an equal share of the batch; what is over goes to whoever still has packets on the next round of the breath.
#include "podwire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_PER_READ 64
#define CLOSERS 32

int set_init(struct tap_set *s) {
  s->ports = NULL;
  s->nports = 0;
  s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  return s->epoll_fd < 0 ? errno : 0;
}

struct closing {
  const int *fds;
  size_t count;
  atomic_size_t next;
};

static void *close_next(void *arg) {
  struct closing *c = arg;
  for (size_t i = c->next++; i < c->count; i = c->next++) {
    if (c->fds[i] >= 0) close(c->fds[i]);
  }
  return NULL;
}

// Destroying a device waits for an RCU grace period, 18 ms here; waits of several threads overlap: 200 devices in 0.5 s, not 3.6.
static void close_all(const int *fds, size_t count) {
  struct closing c = {.fds = fds, .count = count};
  pthread_t threads[CLOSERS];
  size_t started = 0;
  size_t open = 0;
  for (size_t i = 0; i < count; i++) open += fds[i] >= 0;
  while (started < CLOSERS && started + 1 < open && pthread_create(&threads[started], NULL, close_next, &c) == 0) started++;
  close_next(&c);
  while (started > 0) pthread_join(threads[--started], NULL);
}

void set_destroy(struct tap_set *s) {
  close_all(s->ports, s->nports);
  free(s->ports);
  s->ports = NULL;
  s->nports = 0;
  if (s->epoll_fd >= 0) close(s->epoll_fd);
  s->epoll_fd = -1;
}

static int free_port(struct tap_set *s) {
  for (size_t i = 0; i < s->nports; i++) {
    if (s->ports[i] < 0) return (int)i;
  }
  size_t grown = s->nports ? s->nports * 2 : 16;
  int *ports = realloc(s->ports, grown * sizeof *ports);
  if (!ports) return -ENOMEM;
  for (size_t i = s->nports; i < grown; i++) ports[i] = -1;
  int port = (int)s->nports;
  s->ports = ports;
  s->nports = grown;
  return port;
}

int set_add(struct tap_set *s, int fd) {
  int port = free_port(s);
  if (port < 0) return port;
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)port};
  if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) return -errno;
  s->ports[port] = fd;
  return port;
}

int set_remove(struct tap_set *s, int port) {
  if (port < 0 || (size_t)port >= s->nports || s->ports[port] < 0) return -1;
  int fd = s->ports[port];
  epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
  s->ports[port] = -1;
  return fd;
}

int set_read(struct tap_set *s, int max) {
  if (max > (int)s->rx_size) max = (int)s->rx_size;
  if (max <= 0) return 0;
  int32_t *ids = s->rx;
  int32_t *lens = s->rx + s->rx_size;
  int32_t *ports = s->rx + 2 * s->rx_size;
  struct epoll_event events[EVENTS_PER_READ];
  int ready = epoll_wait(s->epoll_fd, events, max < EVENTS_PER_READ ? max : EVENTS_PER_READ, 0);
  if (ready <= 0) return 0;
  int share = max / ready;
  int n = 0;
  for (int i = 0; i < ready; i++) {
    uint32_t port = events[i].data.u32;
    int fd = s->ports[port];
    for (int k = 0; k < share; k++) {
      uint32_t id = (uint32_t)ids[n];
      if (id >= s->slots) return n;
      ssize_t len = read(fd, s->arena + id * s->slot_size + s->rx_offset, s->slot_size - s->rx_offset);
      if (len < 0 && errno == EINTR) continue;
      if (len < 0 && errno == EAGAIN) break;
      ports[n] = (int32_t)port;
      lens[n] = len < 0 ? -errno : (int32_t)len;
      n++;
      if (len < 0) {
        // The device is gone, with its namespace. It would be reported for ever: stop watching; the owner closes the port.
        epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        break;
      }
    }
  }
  return n;
}

int set_discard(struct tap_set *s, int max) {
  struct epoll_event events[EVENTS_PER_READ];
  uint8_t head[64]; // the kernel cuts the packet to what it is given
  int ready = epoll_wait(s->epoll_fd, events, EVENTS_PER_READ, 0);
  int n = 0;
  for (int i = 0; i < ready && n < max; i++) {
    while (n < max && read(s->ports[events[i].data.u32], head, sizeof head) > 0) n++;
  }
  return n;
}

int set_write(struct tap_set *s, int count) {
  if (count > (int)s->tx_size) count = (int)s->tx_size;
  const int32_t *ids = s->tx;
  const int32_t *starts = s->tx + s->tx_size;
  int32_t *lens = s->tx + 2 * s->tx_size;
  const int32_t *ports = s->tx + 3 * s->tx_size;
  int lost = 0;
  for (int i = 0; i < count; i++) {
    uint32_t id = (uint32_t)ids[i];
    size_t start = (uint32_t)starts[i];
    size_t len = (uint32_t)lens[i];
    uint32_t port = (uint32_t)ports[i];
    int error = 0;
    if (id >= s->slots || start + len > s->slot_size) {
      error = EINVAL;
    } else if (port >= s->nports || s->ports[port] < 0) {
      error = EBADF;
    } else {
      const uint8_t *from = s->arena + id * s->slot_size + start;
      ssize_t wrote;
      do wrote = write(s->ports[port], from, len);
      while (wrote < 0 && errno == EINTR);
      if (wrote < 0) error = errno; // a TAP's write does not wait for room: EAGAIN too loses the packet, as a full queue does
    }
    lens[i] = error;
    if (error) lost++;
  }
  return lost;
}
