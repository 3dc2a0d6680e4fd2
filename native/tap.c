// A TAP device inside a named network namespace, after Documentation/networking/tuntap.rst. The namespace of a new TAP is
// that of the thread which opens /dev/net/tun, so opening happens on a helper thread that enters the namespace and ends:
// the caller never leaves its own, not even when something fails half-way.
#include "podwire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4 // Linux 6.2
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_PATH "/dev/net/tun"
#define VNET_HDR_SIZE 10

static const char *remedy_for(const char *syscall, int error) {
  if (error == EPERM || error == EACCES) return strcmp(syscall, "setns") == 0 ? "needs CAP_SYS_ADMIN" : "needs CAP_NET_ADMIN";
  if (strcmp(syscall, "open") == 0 && (error == ENODEV || error == ENXIO)) return "load the tun module (modprobe tun)";
  if (strcmp(syscall, "TUNSETIFF") == 0 && error == EBUSY) return "a device of that name exists";
  if (error == EMFILE || error == ENFILE) return "raise the limit of open files (ulimit -n)";
  return NULL;
}

static int fail(struct tap_request *r, const char *syscall, const char *object) {
  struct failure *f = &r->failure;
  f->error = errno;
  f->syscall = syscall;
  snprintf(f->object, sizeof f->object, "%s", object);
  f->remedy = remedy_for(syscall, f->error);
  return -1;
}

static int create(struct tap_request *r) {
  r->fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (r->fd < 0) {
    fail(r, "open", TUN_PATH);
    if (r->failure.error == ENOENT) r->failure.remedy = "load the tun module (modprobe tun)";
    return -1;
  }
  struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL};
  memcpy(ifr.ifr_name, r->ifname, IFNAMSIZ);
  if (ioctl(r->fd, TUNSETIFF, &ifr) < 0) return fail(r, "TUNSETIFF", r->ifname);
  memcpy(r->ifname, ifr.ifr_name, IFNAMSIZ);

  int size = VNET_HDR_SIZE;
  int little_endian = 1;
  if (ioctl(r->fd, TUNSETVNETHDRSZ, &size) < 0) return fail(r, "TUNSETVNETHDRSZ", r->ifname);
  if (ioctl(r->fd, TUNSETVNETLE, &little_endian) < 0) return fail(r, "TUNSETVNETLE", r->ifname);
  if (ioctl(r->fd, TUNSETOFFLOAD, r->offloads) < 0) {
    r->offloads &= ~(unsigned)(TUN_F_USO4 | TUN_F_USO6); // before Linux 6.2
    if (ioctl(r->fd, TUNSETOFFLOAD, r->offloads) < 0) return fail(r, "TUNSETOFFLOAD", r->ifname);
  }
  return 0;
}

static int configure_with(struct tap_request *r, int sock) {
  struct ifreq ifr = {0};
  memcpy(ifr.ifr_name, r->ifname, IFNAMSIZ);
  if (r->has_mac) {
    ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(ifr.ifr_hwaddr.sa_data, r->mac, 6);
    if (ioctl(sock, SIOCSIFHWADDR, &ifr) < 0) return fail(r, "SIOCSIFHWADDR", r->ifname);
  } else {
    if (ioctl(sock, SIOCGIFHWADDR, &ifr) < 0) return fail(r, "SIOCGIFHWADDR", r->ifname);
    memcpy(r->mac, ifr.ifr_hwaddr.sa_data, 6);
  }
  ifr.ifr_mtu = r->mtu;
  if (ioctl(sock, SIOCSIFMTU, &ifr) < 0) return fail(r, "SIOCSIFMTU", r->ifname);
  if (r->tx_queue_len > 0) {
    ifr.ifr_qlen = r->tx_queue_len;
    if (ioctl(sock, SIOCSIFTXQLEN, &ifr) < 0) return fail(r, "SIOCSIFTXQLEN", r->ifname);
  }
  if (ioctl(sock, SIOCGIFFLAGS, &ifr) < 0) return fail(r, "SIOCGIFFLAGS", r->ifname);
  ifr.ifr_flags |= IFF_UP;
  if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0) return fail(r, "SIOCSIFFLAGS", r->ifname);
  return 0;
}

static int configure(struct tap_request *r) {
  int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (sock < 0) return fail(r, "socket", "AF_INET");
  int result = configure_with(r, sock);
  close(sock);
  return result;
}

static int open_here(struct tap_request *r) {
  if (create(r) == 0 && configure(r) == 0) return 0;
  if (r->fd >= 0) close(r->fd);
  r->fd = -1;
  return -1;
}

static void *open_in_netns(void *arg) {
  struct tap_request *r = arg;
  int ns = open(r->netns, O_RDONLY | O_CLOEXEC);
  if (ns < 0) {
    fail(r, "open", r->netns);
  } else if (setns(ns, CLONE_NEWNET) < 0) {
    fail(r, "setns", r->netns);
  } else {
    open_here(r);
  }
  if (ns >= 0) close(ns);
  return NULL;
}

int tap_open(struct tap_request *r) {
  r->fd = -1;
  r->failure = (struct failure){0};
  if (!r->netns) return open_here(r);
  pthread_t thread;
  errno = pthread_create(&thread, NULL, open_in_netns, r);
  if (errno) return fail(r, "pthread_create", r->ifname);
  pthread_join(thread, NULL);
  return r->fd < 0 ? -1 : 0;
}
