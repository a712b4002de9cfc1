/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a process can do that was confined to one command, and by what it is ended: in processes of their own. */

#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/confine.h"

#define COMMAND 0x1234UL /* of no device */

static int null_fd, memfd, attribute_fd, pair[2];

static void send_command(void) {
        (void) ioctl(null_fd, COMMAND, 0);
}

static void answer(void) {
        if (send(STDIN_FILENO, "x", 1, 0) != 1)
                _exit(3);
}

static void close_all(void) {
        if (close(null_fd) < 0)
                _exit(3);
}

static void other_command(void) {
        (void) ioctl(null_fd, COMMAND + 1, 0);
}

static void other_device(void) {
        (void) ioctl(STDIN_FILENO, COMMAND, 0);
}

static void answer_elsewhere(void) {
        (void) send(pair[1], "x", 1, 0);
}

static void open_file(void) {
        (void) open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void read_file(void) {
        char c;

        (void) !read(null_fd, &c, 1);
}

static void read_attribute(void) {
        char c;

        if (pread(attribute_fd, &c, 1, 0) != 1)
                _exit(3);
}

static void read_other(void) {
        char c;

        (void) !pread(null_fd, &c, 1, 0);
}

static void make_process(void) {
        (void) fork();
}

static void run_program(void) {
        (void) execl("/bin/true", "true", NULL);
}

static void send_signal(void) {
        (void) kill(getppid(), 0);
}

static void seal(void) {
        if (fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE) < 0)
                _exit(3);
}

static void seal_other(void) {
        (void) fcntl(null_fd, F_ADD_SEALS, F_SEAL_WRITE);
}

static void change_flags(void) {
        (void) fcntl(memfd, F_SETFL, O_NONBLOCK);
}

static void map_code(void) {
        (void) mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Does it in a process that is confined: whether that comes to its own end. */
static bool survives(void (*does)(void)) {
        int status;
        pid_t pid = fork();

        assert(pid >= 0);
        if (pid == 0) {
                if (dup2(pair[0], STDIN_FILENO) < 0 || confine_to_command(null_fd, COMMAND, memfd, attribute_fd) < 0)
                        _exit(2);
                does();
                _exit(0);
        }

        assert(waitpid(pid, &status, 0) == pid);
        assert(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
        assert(WIFEXITED(status) || WTERMSIG(status) == SIGSYS);
        return WIFEXITED(status);
}

/* What a worker keeps from its beginning on: in a process of its own. */
static bool opens_only_to_read(void) {
        static const int modes[] = { O_WRONLY, O_RDWR, O_ACCMODE, O_WRONLY | O_NONBLOCK, O_RDWR | O_CLOEXEC };
        int status;
        pid_t pid = fork();

        assert(pid >= 0);
        if (pid == 0) {
                struct iovec byte = { .iov_base = (char[1]) { 0 }, .iov_len = 1 };
                int null;

                if (confine_to_reading() < 0)
                        _exit(2);
                if (process_vm_writev(getpid(), &byte, 1, &byte, 1, 0) >= 0 || errno != ENOSYS)
                        _exit(7);
                for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                        if (open("/dev/null", modes[i]) >= 0 || errno != EPERM)
                                _exit(3);
                if (creat("/dev/null", 0600) >= 0 || (errno != ENOSYS && errno != EPERM))
                        _exit(4);
#ifdef SYS_open
                if (syscall(SYS_open, "/dev/null", O_WRONLY) >= 0 || errno != EPERM)
                        _exit(5);
#endif
                null = open("/dev/null", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
                if (null < 0 || confine_to_command(null, COMMAND, memfd, -EBADF) < 0)
                        _exit(6);
                _exit(0);
        }

        assert(waitpid(pid, &status, 0) == pid);
        if (status != 0)
                (void) fprintf(stderr, "what opens only to read came to status 0x%x\n", (unsigned) status);
        return status == 0;
}

int main(void) {
        static const struct {
                const char *name;
                void (*does)(void);
                bool survives;
        } cases[] = {
                { "the command", send_command, true },       { "an answer", answer, true },
                { "close", close_all, true },                { "another command", other_command, false },
                { "another device", other_device, false },   { "an answer to others", answer_elsewhere, false },
                { "open", open_file, false },                { "read", read_file, false },
                { "the attribute", read_attribute, true },   { "another file's bytes", read_other, false },
                { "fork", make_process, false },             { "exec", run_program, false },
                { "kill", send_signal, false },              { "code", map_code, false },
                { "seals", seal, true },                     { "seals on another", seal_other, false },
                { "flags", change_flags, false },
        };
        int failed;

        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        memfd = memfd_create("command", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        attribute_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        assert(null_fd >= 0 && attribute_fd >= 0 && memfd >= 0);
        assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);

        failed = !opens_only_to_read();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                if (survives(cases[i].does) != cases[i].survives) {
                        (void) fprintf(stderr, "%s: is %s\n", cases[i].name,
                                       cases[i].survives ? "ended" : "let through");
                        failed = 1;
                }

        return failed;
}
