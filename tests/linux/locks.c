// Locks on files, of a process and of open files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long value = (call); printf("%s = %ld%s%s\n", #call, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : ""); } while (0)

static long record(int file, int command, int kind, long start, long length)
{
    struct flock lock = {kind, SEEK_SET, start, length, 0};
    long result = fcntl(file, command, &lock);
    if (result == 0 && (command == F_GETLK || command == F_OFD_GETLK))
        printf("[%d %ld %ld %d] ", lock.l_type, (long)lock.l_start, (long)lock.l_len, lock.l_pid == getpid());
    return result;
}

int main(void)
{
    int one = open("/tmp/exo-locks", O_RDWR | O_CREAT | O_TRUNC, 0600), other = open("/tmp/exo-locks", O_RDWR);
    int reader = open("/tmp/exo-locks", O_RDONLY);
    SHOW(record(one, F_SETLK, F_WRLCK, 0, 100));
    SHOW(record(other, F_GETLK, F_WRLCK, 0, 0));
    SHOW(record(other, F_OFD_GETLK, F_RDLCK, 50, 10) == 0);
    SHOW(record(other, F_OFD_SETLK, F_RDLCK, 50, 10));
    SHOW(record(one, F_SETLK, F_UNLCK, 40, 30));
    SHOW(record(other, F_OFD_SETLK, F_RDLCK, 50, 10));
    SHOW(record(one, F_OFD_GETLK, F_WRLCK, 40, 30));
    SHOW(record(one, F_SETLK, F_WRLCK, 45, 10));
    SHOW(record(one, F_SETLK, F_RDLCK, 45, 10));
    SHOW(record(reader, F_SETLK, F_WRLCK, 0, 1));
    SHOW(record(one, F_SETLK, 9, 0, 1));
    SHOW(close(other));
    SHOW(record(one, F_OFD_GETLK, F_WRLCK, 0, 0));
    other = open("/tmp/exo-locks", O_RDWR);
    SHOW(flock(one, LOCK_EX));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(one, LOCK_SH));
    SHOW(flock(other, LOCK_SH | LOCK_NB));
    SHOW(flock(one, LOCK_EX | LOCK_NB));
    SHOW(close(other));
    SHOW(flock(one, LOCK_EX | LOCK_NB));
    SHOW(flock(one, LOCK_UN));
    SHOW(flock(99, LOCK_UN));
    unlink("/tmp/exo-locks");
    return 0;
}
