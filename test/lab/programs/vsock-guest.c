/*
 * What a test needs inside a guest, over AF_VSOCK.
 *
 *   vsock-guest cid                prints the guest's own CID
 *   vsock-guest shell PORT         runs bash for each connection, which says what it is to do
 *   vsock-guest serve PORT         echoes what each connection says, until it is killed
 *   vsock-guest call CID PORT N    makes N connections, says eight bytes to each and wants them back
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/vm_sockets.h>
#include <unistd.h>

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static int socket_of(struct sockaddr_vm *address, unsigned cid, unsigned port)
{
    memset(address, 0, sizeof *address);
    address->svm_family = AF_VSOCK;
    address->svm_cid = cid;
    address->svm_port = port;
    return socket(AF_VSOCK, SOCK_STREAM, 0);
}

/* A socket that listens, or -1. */
static int listen_on(unsigned port)
{
    struct sockaddr_vm address;
    int listener = socket_of(&address, VMADDR_CID_ANY, port);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) return -1;
    if (listen(listener, 128) < 0) return -1;
    puts("listening");
    fflush(stdout);
    return listener;
}

static int shell(unsigned port)
{
    int listener = listen_on(port);
    if (listener < 0) return fail("listen");
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) return fail("accept");
        if (fork() == 0) {
            int target;
            signal(SIGCHLD, SIG_DFL);
            for (target = 0; target < 3; target++) dup2(fd, target);
            close(fd);
            close(listener);
            execlp("bash", "bash", "-s", (char *)NULL);
            _exit(127);
        }
        close(fd);
    }
}

static int serve(unsigned port)
{
    int listener = listen_on(port);
    if (listener < 0) return fail("listen");
    for (;;) {
        char bytes[256];
        ssize_t got;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) return fail("accept");
        while ((got = read(fd, bytes, sizeof bytes)) > 0)
            if (write(fd, bytes, got) != got) break;
        close(fd);
    }
}

static int call_once(unsigned cid, unsigned port, unsigned number)
{
    struct sockaddr_vm address;
    char said[16], heard[16];
    size_t length = 0;
    int fd = socket_of(&address, cid, port);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return fail("connect");
    snprintf(said, sizeof said, "%08u", number);
    if (write(fd, said, 8) != 8) return fail("write");
    if (shutdown(fd, SHUT_WR) < 0) return fail("shutdown");
    for (;;) {
        ssize_t got = read(fd, heard + length, sizeof heard - length);
        if (got < 0) return fail("read");
        if (got == 0) break;
        length += got;
    }
    close(fd);
    if (length == 8 && memcmp(said, heard, 8) == 0) return 0;
    fprintf(stderr, "%zu bytes came back\n", length);
    return 1;
}

static int call(unsigned cid, unsigned port, unsigned count)
{
    unsigned number;
    for (number = 0; number < count; number++)
        if (call_once(cid, port, number) != 0) return 1;
    printf("%u connections\n", count);
    return 0;
}

static int print_cid(void)
{
    unsigned cid;
    int fd = open("/dev/vsock", O_RDONLY);
    if (fd < 0) return fail("/dev/vsock");
    if (ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0) return fail("ioctl");
    printf("%u\n", cid);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "cid") == 0) return print_cid();
    if (argc == 3 && strcmp(argv[1], "shell") == 0) return shell(atoi(argv[2]));
    if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "call") == 0)
        return call(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
    fprintf(stderr, "usage: vsock-guest cid | shell PORT | serve PORT | call CID PORT N\n");
    return 2;
}
