// Calls with arguments that are chosen at random among bad ones: SEED ROUNDS NUMBER... The program must live on, and so must what serves it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    uint64_t seed = atoi(argv[1]);
    long rounds = atol(argv[2]);
    char *page = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 4096, 4096, PROT_READ);
    munmap(page + 8192, 4096);
    int ends[2], pair[2];
    int file = open("/tmp/exo-fuzz", O_RDWR | O_CREAT | O_TRUNC, 0600);
    pipe2(ends, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    int counter = eventfd(0, EFD_NONBLOCK), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), set = epoll_create1(0);
    sigset_t mask;
    sigfillset(&mask);
    int signals = signalfd(-1, &mask, SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
    uint64_t values[] = {
        0, 1, 2, 7, 16, 4095, 4096, 65536, -1, -4096, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, 1ull << 31, 1ull << 47, 0xffff800000000000, 0xffffffff80000000,
        0x7f8000000000, 0x7f8000000800, 0x7f0000000000, 0x400000000000, 0x3f8000000000, 0x3ff000000000, (uint64_t)page, (uint64_t)page + 1, (uint64_t)page + 4090,
        (uint64_t)page + 4096, (uint64_t)page + 8190, (uint64_t)page + 8192, (uint64_t)main, file, ends[0], ends[1], pair[0], pair[1], counter, timer, set, signals, 99, AT_FDCWD,
    };
    int count = sizeof values / sizeof *values;
    long done = 0;
    for (long i = 0; i < rounds; i++) {
        uint64_t a[6];
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        int number = atoi(argv[3 + seed % (argc - 3)]);
        for (int j = 0; j < 6; j++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            a[j] = values[seed % count];
            if (seed >> 40 & 1 && a[j] > 4096)
                a[j] += (seed >> 41) % 64 - 32;
        }
        /* Nothing that waits, or that takes away what the test itself needs. */
        static const uint64_t zero[2];
        switch (number) {
        case SYS_poll:
            a[2] = 0;
            break;
        case SYS_ppoll:
            a[2] = (uint64_t)zero;
            break;
        case SYS_select:
        case SYS_pselect6:
            a[4] = (uint64_t)zero;
            break;
        case SYS_epoll_wait:
        case SYS_epoll_pwait:
            a[3] = 0;
            break;
        case SYS_epoll_pwait2:
            a[3] = (uint64_t)zero;
            break;
        case SYS_mprotect:
        case SYS_madvise:
        case SYS_mremap:
            a[0] = (uint64_t)page, a[1] %= 8192, a[2] = PROT_READ | PROT_WRITE;
            break;
        case SYS_fcntl:
            if ((uint32_t)a[1] == F_SETFL || (uint32_t)a[1] == F_SETLKW || (uint32_t)a[1] == F_OFD_SETLKW)
                a[1] = F_GETFL;
            break;
        case SYS_flock:
            a[1] |= LOCK_NB;
            break;
        case SYS_ftruncate:
        case SYS_truncate:
        case SYS_fallocate:
            a[1] &= 0xffffff, a[2] &= 0xffffff, a[3] &= 0xffffff;
            break;
        case SYS_pwrite64:
        case SYS_pwritev:
            a[3] &= 0xfffff;
            break;
        case SYS_copy_file_range:
        case SYS_sendfile:
            a[4] &= 0xffff, a[3] &= 0xffff;
            break;
        case SYS_prlimit64:
            a[2] = 0;
            break;
        case SYS_rt_sigprocmask:
            a[1] = 0;
            break;
        }
        for (int j = 0; j < 4; j++)
            if ((uint32_t)a[j] < 3)
                a[j] = 99;
        lseek(file, 0, SEEK_SET);
        syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
        done++;
        close_range(signals + 1, 2000, 0);
    }
    printf("done %ld\n", done);
    return 0;
}
