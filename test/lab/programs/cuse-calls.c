/*
 * Makes calls of VirtualBox's guest device by the kernel's own headers, for a test. The first argument is the node, the
 * second what to do; what came of it is one line.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vboxguest.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Functions of the service of guest properties. */
enum { GET_PROP = 1, SET_PROP = 2 };
/* More than the kernel carries for one call: 32 pages. */
#define TOO_LARGE (128 * 1024)
#define FOREVER 0xffffffff

static int node;

static void begin(struct vbg_ioctl_hdr *header, size_t in, size_t out, unsigned type) {
  *header = (struct vbg_ioctl_hdr){.size_in = in,
                                   .version = VBG_IOCTL_HDR_VERSION,
                                   .type = type,
                                   .rc = VERR_INTERNAL_ERROR,
                                   .size_out = out};
}

/* The name of an error, or `ok`. */
static const char *outcome(int result) {
  return result < 0 ? strerrorname_np(errno) : "ok";
}

#define IN_SIZE(call) (sizeof((call).hdr) + sizeof((call).u.in))
#define OUT_SIZE(call) (sizeof((call).hdr) + sizeof((call).u.out))

static void version(void) {
  struct vbg_ioctl_driver_version_info call = {.u.in = {.req_version = VBG_IOC_VERSION,
                                                        .min_version = VBG_IOC_VERSION}};
  begin(&call.hdr, IN_SIZE(call), OUT_SIZE(call), 0);
  int result = ioctl(node, VBG_IOCTL_DRIVER_VERSION_INFO, &call);
  printf("%s rc %d session %#x driver %#x\n", outcome(result), call.hdr.rc,
         call.u.out.session_version, call.u.out.driver_version);
}

static void balloon(void) {
  struct vbg_ioctl_check_balloon call = {};
  begin(&call.hdr, sizeof(call.hdr), OUT_SIZE(call), 0);
  int result = ioctl(node, VBG_IOCTL_CHECK_BALLOON, &call);
  printf("%s chunks %u\n", outcome(result), call.u.out.balloon_chunks);
}

static int change_filter(unsigned or_mask) {
  struct vbg_ioctl_change_filter call = {.u.in = {.or_mask = or_mask}};
  begin(&call.hdr, IN_SIZE(call), sizeof(call.hdr), 0);
  return ioctl(node, VBG_IOCTL_CHANGE_FILTER_MASK, &call);
}

static void wait_for(unsigned mask, unsigned timeout_ms) {
  struct vbg_ioctl_wait_for_events call = {.u.in = {.timeout_ms = timeout_ms, .events = mask}};
  begin(&call.hdr, IN_SIZE(call), OUT_SIZE(call), 0);
  int result = ioctl(node, VBG_IOCTL_WAIT_FOR_EVENTS, &call);
  printf("%s", outcome(result));
  if (result == 0) printf(" events %#x", call.u.out.events);
  printf("\n");
}

static void events(const char *mask) {
  unsigned wanted = strtoul(mask, NULL, 0);
  printf("filter %s\n", outcome(change_filter(wanted)));
  fflush(stdout);
  wait_for(wanted, FOREVER);
}

static void nothing(int signal) { (void)signal; }

/* A call that waits gets a signal whose handler does not have it begun again. */
static void interrupted(void) {
  struct sigaction action = {.sa_handler = nothing};
  sigaction(SIGALRM, &action, NULL);
  alarm(1);
  wait_for(0x4, FOREVER);
  wait_for(0x4, 10);
}

static unsigned connect_service(const char *name) {
  struct vbg_ioctl_hgcm_connect call = {.u.in.loc.type = VMMDEV_HGCM_LOC_LOCALHOST_EXISTING};
  strncpy((char *)call.u.in.loc.u.localhost.service_name, name,
          sizeof(call.u.in.loc.u.localhost.service_name) - 1);
  begin(&call.hdr, IN_SIZE(call), OUT_SIZE(call), 0);
  int result = ioctl(node, VBG_IOCTL_HGCM_CONNECT, &call);
  if (result < 0 || call.hdr.rc < 0) {
    printf("connect %s rc %d\n", outcome(result), call.hdr.rc);
    exit(1);
  }
  return call.u.out.client_id;
}

struct hgcm_call {
  struct vbg_ioctl_hgcm_call call;
  struct vmmdev_hgcm_function_parameter parameters[4];
};

static struct vmmdev_hgcm_function_parameter buffer(unsigned type, const void *at, size_t size) {
  struct vmmdev_hgcm_function_parameter parameter = {.type = type};
  parameter.u.pointer.size = size;
  parameter.u.pointer.u.linear_addr = (uintptr_t)at;
  return parameter;
}

static int call_service(struct hgcm_call *call, unsigned client, unsigned function, int count) {
  size_t size = sizeof(call->call) + count * sizeof(call->parameters[0]);
  begin(&call->call.hdr, size, size, 0);
  call->call.client_id = client;
  call->call.function = function;
  call->call.timeout_ms = FOREVER;
  call->call.interruptible = 1;
  call->call.parm_count = count;
  return ioctl(node, VBG_IOCTL_HGCM_CALL(size), call);
}

/* The name and value lie in memory that may not be written, as literals of a program do. */
static void set_property(const char *name, const char *value) {
  char *fixed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t name_size = strlen(name) + 1;
  strcpy(fixed, name);
  strcpy(fixed + name_size, value);
  mprotect(fixed, 4096, PROT_READ);
  struct hgcm_call call = {};
  call.parameters[0] = buffer(VMMDEV_HGCM_PARM_TYPE_LINADDR_IN, fixed, name_size);
  call.parameters[1] = buffer(VMMDEV_HGCM_PARM_TYPE_LINADDR_IN, fixed + name_size, strlen(value) + 1);
  call.parameters[2] = buffer(VMMDEV_HGCM_PARM_TYPE_LINADDR_IN, "", 1);
  int result = call_service(&call, connect_service("VBoxGuestPropSvc"), SET_PROP, 3);
  printf("%s rc %d\n", outcome(result), call.call.hdr.rc);
}

static void get_property(const char *name, size_t room) {
  char *value = calloc(room, 1);
  struct hgcm_call call = {};
  call.parameters[0] = buffer(VMMDEV_HGCM_PARM_TYPE_LINADDR_IN, name, strlen(name) + 1);
  call.parameters[1] = buffer(VMMDEV_HGCM_PARM_TYPE_LINADDR_OUT, value, room);
  call.parameters[2].type = VMMDEV_HGCM_PARM_TYPE_64BIT;
  call.parameters[3].type = VMMDEV_HGCM_PARM_TYPE_32BIT;
  int result = call_service(&call, connect_service("VBoxGuestPropSvc"), GET_PROP, 4);
  printf("%s rc %d", outcome(result), call.call.hdr.rc);
  if (result == 0 && call.call.hdr.rc >= 0) {
    printf(" value %s size %u", value, call.parameters[3].u.value32);
  }
  printf("\n");
}

/* A request of the host that tells the time, by the ioctl with a size and by the one for large requests. */
static void host_time(void) {
  struct {
    struct vbg_ioctl_hdr hdr;
    uint64_t ms;
  } request = {};
  begin(&request.hdr, sizeof(request), sizeof(request), VMMDEVREQ_GET_HOST_TIME);
  int sized = ioctl(node, VBG_IOCTL_VMMDEV_REQUEST(sizeof(request)), &request);
  uint64_t first = request.ms;
  printf("%s %s", outcome(sized), first > 0 ? "told" : "not told");
  request.ms = 0;
  begin(&request.hdr, sizeof(request), sizeof(request), VMMDEVREQ_GET_HOST_TIME);
  int big = ioctl(node, VBG_IOCTL_VMMDEV_REQUEST_BIG, &request);
  printf(", %s %s\n", outcome(big), request.ms >= first ? "told" : "not told");
}

/* What the node refuses, each with the error that the real driver or the kernel has for it. */
static void refusals(void) {
  struct {
    struct vbg_ioctl_hdr hdr;
    uint32_t words[4];
  } call = {};
  begin(&call.hdr, sizeof(call), sizeof(call), VMMDEVREQ_GUEST_HEARTBEAT);
  printf("request %s", outcome(ioctl(node, VBG_IOCTL_VMMDEV_REQUEST(sizeof(call)), &call)));
  begin(&call.hdr, sizeof(call), sizeof(call), 0);
  printf(", number %s", outcome(ioctl(node, _IOWR('V', 99, call), &call)));
  call.hdr.version = 1;
  printf(", version %s", outcome(ioctl(node, VBG_IOCTL_VMMDEV_REQUEST(sizeof(call)), &call)));
  begin(&call.hdr, 8, 8, 0);
  printf(", header %s", outcome(ioctl(node, VBG_IOCTL_VMMDEV_REQUEST_BIG, &call)));
  printf(", address %s", outcome(ioctl(node, VBG_IOCTL_CHECK_BALLOON, 8)));
  begin(&call.hdr, TOO_LARGE + 1, TOO_LARGE + 1, VMMDEVREQ_GET_HOST_TIME);
  printf(", size %s", outcome(ioctl(node, VBG_IOCTL_VMMDEV_REQUEST_BIG, &call)));
  printf(", terminal %s", isatty(node) ? "yes" : strerrorname_np(errno));
  printf(", read %s, write %s", outcome(read(node, &call, 4)), outcome(write(node, &call, 4)));
  void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, node, 0);
  printf(", mmap %s\n", map == MAP_FAILED ? strerrorname_np(errno) : "ok");
}

/* A device without a poll of its own is always ready. */
static void poll_node(void) {
  struct pollfd fd = {.fd = node, .events = POLLIN | POLLOUT};
  int count = poll(&fd, 1, 1000);
  printf("%d %#x\n", count, fd.revents);
}

static void log_line(const char *text) {
  struct {
    struct vbg_ioctl_hdr hdr;
    char text[128];
  } call = {};
  strcpy(call.text, text);
  begin(&call.hdr, sizeof(call.hdr) + strlen(text), sizeof(call.hdr), 0);
  printf("%s\n", outcome(ioctl(node, VBG_IOCTL_LOG(strlen(text)), &call)));
}

static void usage(void) {
  fprintf(stderr, "cuse-calls: what?\n");
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
  if (strcmp(what, "version") == 0) version();
  else if (strcmp(what, "balloon") == 0) balloon();
  else if (strcmp(what, "events") == 0 && count == 4) events(words[3]);
  else if (strcmp(what, "interrupted") == 0) interrupted();
  else if (strcmp(what, "set") == 0 && count == 5) set_property(words[3], words[4]);
  else if (strcmp(what, "get") == 0 && count == 5) get_property(words[3], strtoul(words[4], NULL, 0));
  else if (strcmp(what, "time") == 0) host_time();
  else if (strcmp(what, "refusals") == 0) refusals();
  else if (strcmp(what, "poll") == 0) poll_node();
  else if (strcmp(what, "log") == 0 && count == 4) log_line(words[3]);
  else usage();
  return 0;
}
