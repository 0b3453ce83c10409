/*
 * Calls of /dev/vboxguest and /dev/vboxuser for a test outside the machine, whose own programs make none.
 *
 *   vbox-ioctl NODE NAME
 *
 * Reads calls from stdin: the ioctl's number, a number for the call and a number of bytes, 32 bits each, then the bytes,
 * which are the argument and what it points to. Calls are made side by side, each by a process of its own. The end of
 * stdin, or a call of no bytes, kills it and them. Lines on stdout, where RESULT is what the system gave:
 *
 *   answer NAME opened RESULT ADDRESS     where the bytes are in memory
 *   answer NAME started CALL PROCESS      SIGUSR1 to that process interrupts the call
 *   answer NAME ended CALL RESULT HEX     the bytes as the call left them
 *
 * It is built without a C library.
 */
#include <asm/signal.h>
#include <asm/unistd.h>

#define MOST (1 << 20)
#define O_RDWR 2

static unsigned char bytes[MOST] __attribute__((aligned(4096)));
static char line[2 * MOST + 256];

static long call(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(number), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

static char *put_text(char *at, const char *text) {
  while (*text) *at++ = *text++;
  return at;
}

static char *put_number(char *at, long number) {
  char digits[12];
  int count = 0;
  unsigned long rest = number < 0 ? -number : number;
  if (number < 0) *at++ = '-';
  do digits[count++] = '0' + rest % 10;
  while (rest /= 10);
  while (count) *at++ = digits[--count];
  return at;
}

static char *put_words(const char *name, const char *verb, long first, long second) {
  char *at = put_text(line, "answer ");
  at = put_text(at, name);
  *at++ = ' ';
  at = put_text(at, verb);
  *at++ = ' ';
  at = put_number(at, first);
  *at++ = ' ';
  return put_number(at, second);
}

/* Lines of several processes stay apart, since each is one write. */
static void write_line(char *end) {
  *end++ = '\n';
  call(__NR_write, 1, (long)line, end - line);
}

static char *put_hex(char *at, const unsigned char *data, long length) {
  static const char hex[] = "0123456789abcdef";
  *at++ = ' ';
  for (long i = 0; i < length; i++) {
    *at++ = hex[data[i] >> 4];
    *at++ = hex[data[i] & 15];
  }
  return at;
}

static int read_all(void *to, long length) {
  for (long got = 0; got < length;) {
    long more = call(__NR_read, 0, (long)to + got, length - got);
    if (more <= 0) return 0;
    got += more;
  }
  return 1;
}

static void interrupted(int signal) { (void)signal; }

static void on_signal(long signal, __sighandler_t handler) {
  struct sigaction action = {.sa_handler = handler};
  call(__NR_sigaction, signal, (long)&action, 0);
}

static int serve(const char *node, const char *name) {
  call(__NR_setpgid, 0, 0, 0);
  long fd = call(__NR_open, (long)node, O_RDWR, 0);
  on_signal(SIGUSR1, interrupted);
  /* Nobody waits for the processes of calls. */
  on_signal(SIGCHLD, SIG_IGN);
  write_line(put_words(name, "opened", fd < 0 ? fd : 0, (long)bytes));
  if (fd < 0) return 1;
  for (;;) {
    struct { unsigned long request, call, length; } head;
    if (!read_all(&head, sizeof head) || head.length == 0) break;
    if (head.length > MOST || !read_all(bytes, head.length)) return 2;
    long process = call(__NR_fork, 0, 0, 0);
    if (process != 0) {
      write_line(put_words(name, "started", head.call, process));
      continue;
    }
    long result = call(__NR_ioctl, fd, head.request, (long)bytes);
    write_line(put_hex(put_words(name, "ended", head.call, result), bytes, head.length));
    return 0;
  }
  /* Calls that still wait hold the node open. */
  return call(__NR_kill, 0, SIGKILL, 0);
}

/* What the kernel leaves on the stack: the number of words, and the words. */
__attribute__((used)) void begin(long *stack) {
  char **words = (char **)(stack + 1);
  call(__NR_exit, stack[0] < 3 ? 2 : serve(words[1], words[2]), 0, 0);
}

__asm__(".globl _start\n_start:\n  pushl %esp\n  call begin\n");
