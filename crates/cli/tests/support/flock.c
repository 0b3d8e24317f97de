// A preloaded library that spoils flock(): FLOCK=enolck (none), hang (never an answer), local (everyone gets each).
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int flock(int fd, int how) {
    const char *mode = getenv("FLOCK");
    if (mode && !strcmp(mode, "enolck")) { errno = ENOLCK; return -1; }
    if (mode && !strcmp(mode, "hang")) for (;;) pause();
    if (mode && !strcmp(mode, "local")) return 0;
    return syscall(SYS_flock, fd, how);
}
