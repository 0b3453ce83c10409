/*
 * Opens nodes and makes ioctls for a test outside the machine. It is built without a C library.
 *
 * Words of 32 bits go both ways by three ports. PORT_COUNT gives how many words the next message has, or 0; PORT_READ
 * gives its words: what to do, a number for it, and what that needs. PORT_WRITE takes answers: the count of words that
 * follow, the number, a kind, a result, and the bytes of an argument as the call left them.
 *
 * Calls are made side by side, each by a process of its own. SIGUSR1 is what interrupts one.
 */
#include <asm/signal.h>
#include <asm/unistd.h>
#include <linux/mman.h>

#define PORT_COUNT 0x5e0
#define PORT_READ 0x5e4
#define PORT_WRITE 0x5e8
#define PORTS 12

#define SLOTS 16
#define SLOT_BYTES 65536
#define FIRST_FD 3
#define LAST_FD 63
#define O_RDWR 2
#define IDLE_NS 1000000
/* How often others may run before the program sleeps. */
#define PATIENCE 50

typedef unsigned int u32;

enum { OPEN = 1, IOCTL, CLOSE, INTERRUPT };
enum { STARTED = 1, ENDED };
enum { FREE, RUNNING, OVER };

struct message {
  u32 what, id, fd, request, bytes, relocations;
  /* Two words for each relocation: where in the bytes an address stands, and where in the bytes it points to. */
  u32 rest[SLOT_BYTES / 2];
};

struct slot {
  volatile int state;
  u32 id, fd, bytes;
  int process, result;
  unsigned char argument[SLOT_BYTES] __attribute__((aligned(16)));
};

static struct message message;
static struct slot *slots;

static int call(int number, long a, long b, long c) {
  int result;
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

static u32 read_word(unsigned short port) {
  u32 word;
  __asm__ volatile("inl %1, %0" : "=a"(word) : "d"(port));
  return word;
}

static void write_word(u32 word) {
  __asm__ volatile("outl %0, %1" : : "a"(word), "d"((unsigned short)PORT_WRITE));
}

static void answer(u32 id, u32 kind, int result, const void *data, u32 bytes) {
  const u32 *words = data;
  u32 count = (bytes + 3) / 4;
  write_word(count + 3);
  write_word(id);
  write_word(kind);
  write_word(result);
  for (u32 i = 0; i < count; i++) write_word(words[i]);
}

static void interrupted(int signal) { (void)signal; }

static void on_signal(int signal, __sighandler_t handler) {
  struct sigaction action = {.sa_handler = handler};
  call(__NR_sigaction, signal, (long)&action, 0);
}

static void fill(struct slot *slot) {
  const u32 *relocations = message.rest;
  const unsigned char *from = (const unsigned char *)(message.rest + 2 * message.relocations);
  slot->id = message.id;
  slot->fd = message.fd;
  slot->bytes = message.bytes;
  for (u32 i = 0; i < message.bytes; i++) slot->argument[i] = from[i];
  for (u32 i = 0; i < message.relocations; i++)
    *(u32 *)(slot->argument + relocations[2 * i]) = (u32)slot->argument + relocations[2 * i + 1];
}

static void start_ioctl(void) {
  struct slot *slot = slots;
  while (slot < slots + SLOTS && slot->state != FREE) slot++;
  if (slot == slots + SLOTS) call(__NR_exit, 3, 0, 0);
  fill(slot);
  slot->state = RUNNING;
  int process = call(__NR_fork, 0, 0, 0);
  if (process != 0) {
    slot->process = process;
    answer(slot->id, STARTED, process, 0, 0);
    return;
  }
  /* Else the node would stay open when it is closed elsewhere. */
  for (u32 fd = FIRST_FD; fd <= LAST_FD; fd++)
    if (fd != slot->fd) call(__NR_close, fd, 0, 0);
  slot->result = call(__NR_ioctl, slot->fd, message.request, (long)slot->argument);
  slot->state = OVER;
  call(__NR_exit, 0, 0, 0);
}

/* The process has the node open as well. When it is gone nothing is left to wait for, which is an error here. */
static void await_end(const struct slot *slot) { call(__NR_waitpid, slot->process, 0, 0); }

static void close_node(void) {
  for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
    if (slot->state != FREE && slot->fd == message.fd) {
      call(__NR_kill, slot->process, SIGKILL, 0);
      await_end(slot);
      slot->state = FREE;
    }
  answer(message.id, ENDED, call(__NR_close, message.fd, 0, 0), 0, 0);
}

static void interrupt_call(void) {
  for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
    if (slot->state == RUNNING && slot->id == message.request) call(__NR_kill, slot->process, SIGUSR1, 0);
  answer(message.id, ENDED, 0, 0, 0);
}

static int receive(void) {
  u32 count = read_word(PORT_COUNT);
  if (count == 0) return 0;
  for (u32 i = 0; i < count; i++) {
    u32 word = read_word(PORT_READ);
    if (i < sizeof message / sizeof word) ((u32 *)&message)[i] = word;
  }
  if (message.bytes > SLOT_BYTES || message.relocations > 64) call(__NR_exit, 2, 0, 0);
  if (message.what == OPEN)
    answer(message.id, ENDED, call(__NR_open, (long)message.rest, O_RDWR, 0), 0, 0);
  if (message.what == IOCTL) start_ioctl();
  if (message.what == CLOSE) close_node();
  if (message.what == INTERRUPT) interrupt_call();
  return 1;
}

static int collect(void) {
  int found = 0;
  for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
    if (slot->state == OVER) {
      await_end(slot);
      answer(slot->id, ENDED, slot->result, slot->argument, slot->bytes);
      slot->state = FREE;
      found = 1;
    }
  return found;
}

static struct slot *shared_slots(void) {
  struct { u32 address, length, protection, flags, fd, offset; } map = {
      0, SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0};
  return (struct slot *)call(__NR_mmap, (long)&map, 0, 0);
}

__attribute__((used)) void begin(void) {
  struct { u32 seconds, nanoseconds; } idle = {0, IDLE_NS};
  slots = shared_slots();
  if ((u32)slots > 0xfffff000 || call(__NR_ioperm, PORT_COUNT, PORTS, 1) != 0) call(__NR_exit, 1, 0, 0);
  on_signal(SIGUSR1, interrupted);
  /* What is left of a process is nobody's concern. */
  on_signal(SIGCHLD, SIG_IGN);
  for (int patience = PATIENCE;;) {
    if (receive() | collect()) patience = PATIENCE;
    else if (patience > 0) {
      patience--;
      call(__NR_sched_yield, 0, 0, 0);
    } else call(__NR_nanosleep, (long)&idle, 0, 0);
  }
}

__asm__(".globl _start\n_start:\n  call begin\n");
