// The addon in three parts: tap.c makes a TAP inside a namespace, set.c moves batches between TAPs and the packet arena,
// addon.c is the JavaScript face. It knows file descriptors and slots, no protocol. Lengths and offsets are bytes.
#ifndef PODWIRE_H
#define PODWIRE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What failed, for an error of the form `TUNSETIFF tap0: EPERM; needs CAP_NET_ADMIN`.
struct failure {
  int error;           // errno, 0 when nothing failed
  const char *syscall; // or the ioctl's name
  char object[256];    // the path or device
  const char *remedy;  // may be NULL
};

struct tap_request {
  // In.
  const char *netns;     // path of a network namespace, NULL for the calling thread's
  char ifname[IFNAMSIZ]; // may hold a %d; out: the name given
  unsigned offloads;     // TUN_F_*; out: those the kernel accepted
  bool has_mac;          // whether to set `mac`; out: `mac` is the device's
  uint8_t mac[6];
  int mtu;
  int tx_queue_len; // packets; 0 leaves the kernel's default
  // Out.
  int fd;
  struct failure failure;
};

// Makes and brings up a TAP with IFF_VNET_HDR (10 bytes, little endian). The calling thread's namespace does not change.
// Returns 0 and sets `fd` (non-blocking, close-on-exec, destroyed with its device by close()), or -1 with `failure` filled.
int tap_open(struct tap_request *request);

// A set of TAPs behind one epoll fd, and two batches shared with JavaScript as columns of int32:
//   rx: ids[n] lens[n] ports[n]            a packet read into slot id, or len = -errno: the port failed and left the set
//   tx: ids[n] starts[n] lens[n] ports[n]  after a write, lens holds 0 or the errno that lost the packet
struct tap_set {
  int epoll_fd;
  uint8_t *arena;
  size_t slots;
  size_t slot_size;
  size_t rx_offset; // where in a slot a packet is read to
  int32_t *rx;
  size_t rx_size; // packets
  int32_t *tx;
  size_t tx_size;
  int *ports; // fd of each port, -1 when free
  size_t nports;
};

// Returns 0, or the errno.
int set_init(struct tap_set *set);
// Closes every fd.
void set_destroy(struct tap_set *set);
// Takes the fd over. Returns its port, or -errno; then the fd stays the caller's.
int set_add(struct tap_set *set, int fd);
// Takes the port out and returns its fd, now the caller's to close; -1 when there is no such port.
int set_remove(struct tap_set *set, int port);
// Reads up to `max` packets, without waiting, into the slots named in the rx ids. Returns how many entries were filled.
int set_read(struct tap_set *set, int max);
// Reads and forgets up to `max` packets, for when no slot is free. Returns how many.
int set_discard(struct tap_set *set, int max);
// Writes the first `count` entries of tx. Returns how many were lost.
int set_write(struct tap_set *set, int count);

#endif
