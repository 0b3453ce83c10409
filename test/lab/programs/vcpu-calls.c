/*
 * Runs vCPU 0 of a VM by FreeBSD's ioctls, with the structs typed out from its headers, for a test. The first argument is the
 * node, the second how many bytes there are for the CPUs of an IPI; each further one is a form of VM_RUN, 13 or 15, or
 * `cpus`. What came of it is one line for each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define VM_RUN 0xC0207601u
#define VM_RUN_13 0xC0907601u
#define VM_ACTIVATE_CPU 0x8004765Au
#define VM_GET_CPUS 0x8010765Bu

struct vm_inout {
  uint16_t bytes : 3, in : 1, string : 1, rep : 1;
  uint16_t port;
  uint32_t eax;
};

/* Of FreeBSD 14 and newer. The longest arm of the union is 120 bytes. */
struct vm_exit {
  int exitcode;
  int inst_length;
  uint64_t rip;
  union {
    struct vm_inout inout;
    struct {
      uint32_t mode;
      uint8_t vector;
    } ipi;
    uint64_t words[15];
  } u;
};

struct vm_run {
  int cpuid;
  void *cpuset;
  size_t cpusetsize;
  struct vm_exit *vm_exit;
};

/* Of FreeBSD 13, with 256 CPUs in it. */
struct vm_exit_13 {
  int exitcode;
  int inst_length;
  uint64_t rip;
  union {
    struct vm_inout inout;
    struct {
      uint32_t mode;
      uint8_t vector;
      uint64_t dmask[4];
    } ipi;
    uint64_t words[15];
  } u;
};

struct vm_run_13 {
  int cpuid;
  struct vm_exit_13 vm_exit;
};

struct vm_cpuset {
  int which;
  int cpusetsize;
  void *cpus;
};

_Static_assert(sizeof(struct vm_exit) == 136, "vm_exit");
_Static_assert(sizeof(struct vm_run) == 32, "vm_run");
_Static_assert(sizeof(struct vm_run_13) == 144, "vm_run_13");

enum { INOUT = 0, IPI = 24 };

static int node;

static void print_set(const void *set, size_t size) {
  const unsigned char *bytes = set;
  printf(" set");
  for (size_t at = 0; at < size; at++)
    if (bytes[at] != 0) printf(" %zu:%02x", at, bytes[at]);
}

static void print_exit(int code, int length, uint64_t rip) {
  printf(" exit %d length %d rip %#llx", code, length, (unsigned long long)rip);
}

static void print_inout(struct vm_inout inout) {
  printf(" bytes %u in %u port %#x eax %#x", inout.bytes, inout.in, inout.port, inout.eax);
}

static void run(size_t room) {
  struct vm_exit exit = {0};
  void *set = malloc(room);
  memset(set, 0xee, room);
  struct vm_run call = {.cpuset = set, .cpusetsize = room, .vm_exit = &exit};
  int result = ioctl(node, VM_RUN, &call);
  printf("15 %s", result < 0 ? strerrorname_np(errno) : "ok");
  print_exit(exit.exitcode, exit.inst_length, exit.rip);
  if (exit.exitcode == INOUT) print_inout(exit.u.inout);
  if (exit.exitcode == IPI) {
    printf(" mode %#x vector %#x", exit.u.ipi.mode, exit.u.ipi.vector);
    print_set(set, room);
  }
  printf("\n");
  free(set);
}

static void run_13(void) {
  struct vm_run_13 call = {0};
  int result = ioctl(node, VM_RUN_13, &call);
  const struct vm_exit_13 *exit = &call.vm_exit;
  printf("13 %s", result < 0 ? strerrorname_np(errno) : "ok");
  print_exit(exit->exitcode, exit->inst_length, exit->rip);
  if (exit->exitcode == INOUT) print_inout(exit->u.inout);
  if (exit->exitcode == IPI) {
    printf(" mode %#x vector %#x", exit->u.ipi.mode, exit->u.ipi.vector);
    print_set(exit->u.ipi.dmask, sizeof(exit->u.ipi.dmask));
  }
  printf("\n");
}

static void active_cpus(size_t room) {
  unsigned char set[128] = {0};
  struct vm_cpuset call = {.cpusetsize = room, .cpus = set};
  int result = ioctl(node, VM_GET_CPUS, &call);
  printf("cpus %s", result < 0 ? strerrorname_np(errno) : "ok");
  print_set(set, sizeof(set));
  printf("\n");
}

int main(int count, char **words) {
  if (count < 3) return 2;
  node = open(words[1], O_RDWR);
  if (node < 0) {
    printf("open %s\n", strerrorname_np(errno));
    return 1;
  }
  size_t room = strtoul(words[2], NULL, 0);
  int cpu = 0;
  if (ioctl(node, VM_ACTIVATE_CPU, &cpu) < 0 && errno != EBUSY) return 1;
  for (int at = 3; at < count; at++) {
    if (strcmp(words[at], "13") == 0) run_13();
    else if (strcmp(words[at], "15") == 0) run(room);
    else active_cpus(room);
  }
  return 0;
}
