/*
 * Makes calls of /dev/vmci, for a test. The first argument is the node, the second what to do; what came of it is printed.
 * The interface has no header for programs: numbers and layouts are written down here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  INIT_CONTEXT = 1952,
  NOTIFY_RESOURCE = 1957,
  NOTIFICATIONS_RECEIVE = 1958,
  VERSION2 = 1959,
  QUEUEPAIR_ALLOC = 1960,
  DATAGRAM_SEND = 1963,
  DATAGRAM_RECEIVE = 1964,
  GET_CONTEXT_ID = 1971,
  SET_NOTIFY = 1995,
};
#define VERSION_11 (11 << 16)
#define PAGE 4096

struct handle {
  uint32_t context, resource;
};
struct datagram {
  struct handle dst, src;
  uint64_t payload_size;
  char payload[64];
};
#define HEADER offsetof(struct datagram, payload)
struct transfer {
  uint64_t addr;
  uint32_t len;
  int32_t result;
};
struct doorbell {
  struct handle handle;
  uint16_t resource, action;
  int32_t result;
};
struct rings {
  uint64_t db_uva, db_size, qp_uva, qp_size;
  int32_t result, pad;
};
struct pair {
  struct handle handle;
  uint32_t peer, flags;
  uint64_t produce_size, consume_size, ppn_va, num_ppns;
  int32_t result;
  uint32_t version;
};
struct notify {
  uint64_t uva;
  int32_t result, pad;
};

static int node;
static uint32_t own;

/* The name of an error, or `ok`. */
static const char *outcome(int result) {
  return result < 0 ? strerrorname_np(errno) : "ok";
}

static int version(int32_t mine) {
  return ioctl(node, VERSION2, &mine);
}

static void begin(const char *wanted) {
  struct {
    uint32_t cid, flags;
  } init = {strtoul(wanted, NULL, 0), 0};
  version(VERSION_11);
  int result = ioctl(node, INIT_CONTEXT, &init);
  own = init.cid;
  printf("context %s %u\n", outcome(result), own);
  fflush(stdout);
}

/* Poll's answer, when it does not wait. */
static int readiness(int timeout_ms) {
  struct pollfd fd = {.fd = node, .events = POLLIN};
  return poll(&fd, 1, timeout_ms) < 0 ? -1 : fd.revents;
}

static void send_to(struct handle dst, const char *text) {
  struct datagram datagram = {.dst = dst, .src = {own, 600}, .payload_size = strlen(text)};
  strcpy(datagram.payload, text);
  struct transfer call = {(uintptr_t)&datagram, HEADER + strlen(text), 99};
  int result = ioctl(node, DATAGRAM_SEND, &call);
  printf("send %s %d\n", outcome(result), call.result);
}

static void receive(uint32_t room) {
  static char space[200000];
  struct transfer call = {(uintptr_t)space, room, 99};
  int result = ioctl(node, DATAGRAM_RECEIVE, &call);
  struct datagram *datagram = (struct datagram *)space;
  printf("receive %s %d", outcome(result), call.result);
  if (result == 0 && call.result >= 0) {
    printf(" %u:%u '%.*s'", datagram->dst.context, datagram->dst.resource,
           (int)datagram->payload_size, datagram->payload);
  }
  printf("\n");
}

/* Datagrams to itself. */
static void self(void) {
  begin("7");
  printf("poll %d\n", readiness(0));
  send_to((struct handle){own, 500}, "hello");
  printf("poll %d\n", readiness(0));
  receive(10);
  receive(sizeof(char[200000]));
  receive(100);
  printf("poll %d\n", readiness(0));
}

static void doorbell(struct handle handle, uint16_t action) {
  struct doorbell call = {handle, 1, action, 99};
  int result = ioctl(node, NOTIFY_RESOURCE, &call);
  printf("doorbell %s %d\n", outcome(result), call.result);
  fflush(stdout);
}

/* Makes a doorbell and waits until poll says that it was rung. */
static void wait_rung(const char *context) {
  begin(context);
  doorbell((struct handle){own, 7}, 1);
  printf("poll %d\n", readiness(-1));
  struct handle rung[4] = {};
  struct rings call = {(uintptr_t)rung, sizeof(rung), 0, 0, 99, 0};
  int result = ioctl(node, NOTIFICATIONS_RECEIVE, &call);
  printf("rings %s %d size %d first %u:%u\n", outcome(result), call.result, (int)call.db_size,
         rung[0].context, rung[0].resource);
}

static void refusals(void) {
  uint32_t host = 0;
  struct transfer early = {(uintptr_t)&host, 4, 99};
  int result = ioctl(node, GET_CONTEXT_ID, &host);
  printf("before: host %s %u,", outcome(result), host);
  printf(" send %s, number %s, poll %d\n", outcome(ioctl(node, DATAGRAM_SEND, &early)),
         outcome(ioctl(node, 0x755, &host)), readiness(0));
  begin("8");
  struct transfer wild = {8, 100, 99};
  printf("short %s,", outcome(ioctl(node, DATAGRAM_SEND, &early)));
  printf(" address %s,", outcome(ioctl(node, DATAGRAM_SEND, &wild)));
  printf(" argument %s\n", outcome(ioctl(node, INIT_CONTEXT, 8)));
  char *pages = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct pair pair = {{own, 40}, 2, 0, PAGE, PAGE, (uintptr_t)pages, 4, 99, VERSION_11};
  result = ioctl(node, QUEUEPAIR_ALLOC, &pair);
  printf("pair %s %d,", outcome(result), pair.result);
  struct notify notify = {(uintptr_t)pages, 99, 0};
  result = ioctl(node, SET_NOTIFY, &notify);
  printf(" notify %s %d\n", outcome(result), notify.result);
  printf("read %s, write %s,", outcome(read(node, &host, 4)), outcome(write(node, &host, 4)));
  void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, node, 0);
  printf(" mmap %s\n", map == MAP_FAILED ? strerrorname_np(errno) : "ok");
}

static void usage(void) {
  fprintf(stderr, "vmci-calls: what?\n");
  exit(2);
}

int main(int count, char **words) {
  if (count < 3) usage();
  node = open(words[1], O_RDWR | O_CLOEXEC);
  if (node < 0) {
    printf("open %s\n", strerrorname_np(errno));
    return 1;
  }
  const char *what = words[2];
  if (strcmp(what, "version") == 0) printf("%d %d\n", version(8 << 16), version(VERSION_11));
  else if (strcmp(what, "self") == 0) self();
  else if (strcmp(what, "wait") == 0 && count == 4) wait_rung(words[3]);
  else if (strcmp(what, "refusals") == 0) refusals();
  else usage();
  return 0;
}
