// The client of bench/proxies' peers: sends 64-byte UDP datagrams as frames on a veth and prints how long one takes. A frame is
// worked off to its end (the other end of the veth, the rules, the way out) before send() returns, in softirq on this CPU, so the
// time of the call is the time of the whole path.
//   send IFNAME MAC SADDR VIP SERVICES first|established PACKETS ROUNDS
// Connections are spread over SERVICES addresses from VIP on, as in bench/proxies/packets.ts. Prints nanoseconds a packet, one round a
// line; each round of `first` has connections of its own.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STRIDE 7919
#define FLOWS 1000
#define LENGTH 64

static uint8_t frame[LENGTH];

static void put16(int at, uint16_t value) {
  frame[at] = value >> 8;
  frame[at + 1] = value & 255;
}

static void put32(int at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value & 0xffff);
}

static void address(uint32_t daddr, uint16_t sport) {
  put32(30, daddr);
  put16(34, sport);
  put16(24, 0);
  uint32_t sum = 0;
  for (int i = 14; i < 34; i += 2) sum += frame[i] << 8 | frame[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  put16(24, ~sum);
}

// CPU time, as the emulated side is measured; softirqs inside the call are part of it (unless the kernel has
// CONFIG_IRQ_TIME_ACCOUNTING: then give the environment WALL=1).
static double now_ns(void) {
  struct timespec t;
  clock_gettime(getenv("WALL") ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 9) return fprintf(stderr, "usage: see the head of send.c\n"), 2;
  uint32_t vip = ntohl(inet_addr(argv[4]));
  int services = atoi(argv[5]), packets = atoi(argv[7]), rounds = atoi(argv[8]);
  int established = strcmp(argv[6], "established") == 0;

  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);

  unsigned mac[6];
  sscanf(argv[2], "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5);
  for (int i = 0; i < 6; i++) frame[i] = mac[i];
  frame[6] = 2;
  put16(12, ETHERTYPE_IP);
  frame[14] = 0x45;
  put16(16, LENGTH - 14);
  frame[22] = 64;
  frame[23] = IPPROTO_UDP;
  put32(26, ntohl(inet_addr(argv[3])));
  put16(36, 80);
  put16(38, LENGTH - 34);

  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(argv[1]), .sll_protocol = 0};
  if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) return perror("AF_PACKET"), 1;

  for (int i = 0; established && i < FLOWS; i++) {
    address(vip + (uint32_t)((uint64_t)i * STRIDE % services), 60000 + i);
    if (send(fd, frame, LENGTH, 0) < 0) return perror("send"), 1;
  }
  uint32_t n = 0;
  for (int round = 0; round < rounds; round++) {
    double start = now_ns();
    for (int i = 0; i < packets; i++, n++) {
      uint32_t flow = established ? n % FLOWS : n;
      address(vip + (uint32_t)((uint64_t)flow * STRIDE % services), established ? 60000 + flow : 1024 + flow % 58000);
      if (send(fd, frame, LENGTH, 0) < 0) return perror("send"), 1;
    }
    printf("%.0f\n", (now_ns() - start) / packets);
  }
  return 0;
}
