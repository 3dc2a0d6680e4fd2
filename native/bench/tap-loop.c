// The C peer of bench/wire: what the emulated Node does for one connection from a Pod to a ClusterIP, and nothing else.
// Two TAPs in two namespaces; answers every ARP request, rewrites VIP to the Pod on the way in and back on the way out,
// takes one from the TTL, keeps the checksums by RFC 1624. It stands on the addon's own tap.c and set.c, so offloads,
// system calls and batches are the same; what differs is the language in between.
//   tap-loop NETNS_A NETNS_B IFNAME MTU offload|plain VIP POD [BATCH]
// A is the client's namespace, B the one of the Pod behind VIP. Prints `ready`, then runs until its stdin closes.
#include "../podwire.h"

#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define BATCH_MAX 256
#define VNET 10
#define HEADROOM 86
#define SLOT 65792
#define TX_QUEUE_LEN 1000

static const uint8_t GATEWAY_MAC[6] = {0x02, 0, 0, 0, 0, 1};
static uint8_t macs[2][6];
static uint32_t vip, pod; // network order
static int offload;

static uint16_t fold(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}

static uint32_t halves(uint32_t a) {
  return (a & 0xffff) + (a >> 16);
}

// Any byte order does, as long as all words are in the same one (RFC 1071).
static void update(uint8_t *field, uint32_t was, uint32_t is, bool partial) {
  uint16_t sum;
  memcpy(&sum, field, 2);
  uint32_t base = partial ? sum : (uint16_t)~sum;
  uint16_t folded = fold(base + halves(~was) + halves(is));
  if (!partial) folded = (uint16_t)~folded;
  memcpy(field, &folded, 2);
}

// Rewrites the address at ip[at] and whatever covers it.
static void translate(uint8_t *ip, int at, uint32_t is, bool partial) {
  uint32_t was;
  memcpy(&was, ip + at, 4);
  memcpy(ip + at, &is, 4);
  update(ip + 10, was, is, false);
  uint8_t *l4 = ip + ((ip[0] & 15) << 2);
  if (ip[9] == 6) update(l4 + 16, was, is, partial);
  if (ip[9] == 17 && (l4[6] | l4[7])) update(l4 + 6, was, is, partial);
}

// The answer in place; sends it back where it came from.
static void answer_arp(uint8_t *eth) {
  uint8_t *arp = eth + 14;
  uint8_t wanted[4];
  memcpy(wanted, arp + 24, 4);
  memcpy(eth, eth + 6, 6);
  memcpy(eth + 6, GATEWAY_MAC, 6);
  arp[7] = 2;
  memcpy(arp + 18, arp + 8, 10);
  memcpy(arp + 8, GATEWAY_MAC, 6);
  memcpy(arp + 14, wanted, 4);
}

// Returns the port the frame goes to, -1 to drop it.
static int forward(uint8_t *packet, int len, int port) {
  uint8_t *eth = packet + VNET;
  if (len < VNET + 34) return -1;
  if (eth[12] == 8 && eth[13] == 6) {
    if (eth[21] != 1) return -1;
    answer_arp(eth);
    return port;
  }
  if (eth[12] != 8 || eth[13] != 0) return -1;
  uint8_t *ip = eth + 14;
  uint32_t saddr, daddr;
  memcpy(&saddr, ip + 12, 4);
  memcpy(&daddr, ip + 16, 4);
  if (ip[8] <= 1) return -1;
  bool partial = packet[0] & 1;
  int to = !port;
  if (port == 0 && daddr == vip) translate(ip, 16, pod, partial);
  else if (port == 1 && saddr == pod) translate(ip, 12, vip, partial);
  else return -1;
  uint16_t was, is;
  memcpy(&was, ip + 8, 2);
  ip[8]--;
  memcpy(&is, ip + 8, 2);
  update(ip + 10, was, is, false);
  memcpy(eth, macs[to], 6);
  memcpy(eth + 6, GATEWAY_MAC, 6);
  return to;
}

static void add_tap(struct tap_set *set, const char *netns, const char *ifname, int mtu) {
  struct tap_request r = {.netns = netns, .mtu = mtu, .tx_queue_len = TX_QUEUE_LEN};
  r.offloads = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_USO4 | TUN_F_USO6 : 0;
  snprintf(r.ifname, sizeof r.ifname, "%s", ifname);
  int port = tap_open(&r) < 0 ? -1 : set_add(set, r.fd);
  if (port < 0) {
    fprintf(stderr, "%s %s: %s\n", r.failure.syscall, r.failure.object, strerror(r.failure.error));
    exit(1);
  }
  memcpy(macs[port], r.mac, 6);
}

static void breathe(struct tap_set *set, int batch) {
  int n;
  while ((n = set_read(set, batch)) > 0) {
    int queued = 0;
    for (int i = 0; i < n; i++) {
      int len = set->rx[BATCH_MAX + i];
      int port = len < 0 ? -1 : forward(set->arena + (size_t)set->rx[i] * SLOT + HEADROOM, len, set->rx[2 * BATCH_MAX + i]);
      if (port < 0) continue;
      set->tx[queued] = set->rx[i];
      set->tx[BATCH_MAX + queued] = HEADROOM;
      set->tx[2 * BATCH_MAX + queued] = len;
      set->tx[3 * BATCH_MAX + queued] = port;
      queued++;
    }
    set_write(set, queued);
  }
}

int main(int argc, char **argv) {
  if (argc < 8) return fprintf(stderr, "tap-loop NETNS_A NETNS_B IFNAME MTU offload|plain VIP POD [BATCH]\n"), 2;
  static int32_t rx[3 * BATCH_MAX], tx[4 * BATCH_MAX];
  size_t size = (size_t)BATCH_MAX * SLOT;
  uint8_t *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct tap_set set = {.arena = arena, .slots = BATCH_MAX, .slot_size = SLOT, .rx_offset = HEADROOM, .rx = rx, .rx_size = BATCH_MAX, .tx = tx, .tx_size = BATCH_MAX};
  for (int i = 0; i < BATCH_MAX; i++) rx[i] = i;
  if (arena == MAP_FAILED || set_init(&set) != 0) return perror("tap-loop"), 1;
  offload = strcmp(argv[5], "offload") == 0;
  vip = inet_addr(argv[6]);
  pod = inet_addr(argv[7]);
  int batch = argc > 8 ? atoi(argv[8]) : BATCH_MAX;
  add_tap(&set, argv[1], argv[3], atoi(argv[4]));
  add_tap(&set, argv[2], argv[3], atoi(argv[4]));
  printf("ready\n");
  fflush(stdout);
  struct pollfd fds[2] = {{.fd = set.epoll_fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  while (poll(fds, 2, -1) > 0 && !fds[1].revents) breathe(&set, batch);
  set_destroy(&set);
  return 0;
}
