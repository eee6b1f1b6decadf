// Pipes, event counters, timers, and waiting for several of them, in one process.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

#define SHOW(call) do { errno = 0; long value = (call); printf("%s = %ld%s%s\n", #call, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : ""); } while (0)

static void pipes(void)
{
    static char many[200000], few[300000];
    int ends[2], copy;
    char text[64] = {0};
    struct stat status;
    SHOW(pipe2(ends, O_NONBLOCK));
    SHOW(read(ends[0], text, 1));
    SHOW(write(ends[1], "some bytes", 10));
    SHOW(ioctl(ends[0], FIONREAD, &copy));
    printf("%d to read\n", copy);
    SHOW(read(ends[0], text, 4));
    SHOW(read(ends[0], text + 4, 60));
    printf("%s\n", text);
    for (int i = 0; i < sizeof many; i++)
        many[i] = i * 7 / 3;
    SHOW(write(ends[1], many, sizeof many));
    SHOW(write(ends[1], many, 4096));
    SHOW(write(ends[1], many, 5000));
    SHOW(read(ends[0], few, 4095));
    SHOW(write(ends[1], many, 4096));
    SHOW(read(ends[0], few + 4095, sizeof few));
    SHOW(memcmp(many, few, 65536));
    struct iovec parts[3] = {{"one ", 4}, {"", 0}, {"two", 3}};
    SHOW(writev(ends[1], parts, 3));
    struct iovec places[2] = {{text, 2}, {text + 10, 20}};
    SHOW(readv(ends[0], places, 2));
    printf("%.2s|%.5s\n", text, text + 10);
    SHOW(write(ends[0], "x", 1));
    SHOW(read(ends[1], text, 1));
    SHOW(lseek(ends[0], 0, SEEK_CUR));
    SHOW(pread(ends[0], text, 1, 0));
    SHOW(fstat(ends[0], &status));
    printf("fifo %d\n", S_ISFIFO(status.st_mode));
    SHOW(fcntl(ends[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    SHOW(fcntl(ends[0], F_GETPIPE_SZ));
    SHOW(fcntl(ends[0], F_SETPIPE_SZ, 5000));
    SHOW(write(ends[1], many, 20000));
    SHOW(read(ends[0], (void *)16, 1));
    SHOW(read(ends[0], few, sizeof few));
    SHOW(dup(ends[1]) > 0);
    copy = dup2(ends[1], 100);
    SHOW(close(ends[1]));
    SHOW(read(ends[0], few, 1));
    SHOW(close(copy));
    SHOW(close_range(4, 4, 0));
    SHOW(close_range(5, 99, 0));
    SHOW(read(ends[0], few, 1));
    SHOW(close(ends[0]));
    SHOW(pipe((int *)16));
    SHOW(pipe2(ends, 1));
}

static void counters(void)
{
    uint64_t value = 5;
    int counter = eventfd(3, EFD_NONBLOCK), semaphore = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC);
    SHOW(fcntl(semaphore, F_GETFD));
    SHOW(write(counter, &value, 8));
    SHOW(read(counter, &value, 8));
    printf("%lu\n", value);
    SHOW(read(counter, &value, 8));
    SHOW(read(counter, &value, 7));
    value = -2;
    SHOW(write(counter, &value, 8));
    SHOW(write(counter, &value, 8));
    value = -1;
    SHOW(write(counter, &value, 8));
    for (int i = 0; i < 3; i++) {
        value = 9;
        SHOW(read(semaphore, &value, 8));
        printf("%lu\n", value);
    }
    SHOW(eventfd(0, 2));
    close(counter);
    close(semaphore);
}

static void timers(void)
{
    struct itimerspec setting = {{0, 20000000}, {0, 30000000}}, left;
    uint64_t count = 0;
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    SHOW(read(timer, &count, 8));
    long start = now();
    SHOW(timerfd_settime(timer, 0, &setting, &left));
    printf("%ld %ld\n", left.it_value.tv_sec, left.it_value.tv_nsec);
    SHOW(timerfd_gettime(timer, &left));
    printf("%d %ld\n", left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 30000000, left.it_interval.tv_nsec);
    SHOW(read(timer, &count, 8));
    fcntl(timer, F_SETFL, 0);
    SHOW(read(timer, &count, 8));
    printf("waited %d\n", now() - start >= 30);
    struct pollfd one = {timer, POLLIN};
    SHOW(poll(&one, 1, 1000));
    usleep(50000);
    SHOW(read(timer, &count, 8));
    printf("several %d\n", count >= 2);
    clock_gettime(CLOCK_MONOTONIC, &setting.it_value);
    setting.it_interval.tv_nsec = 0;
    SHOW(timerfd_settime(timer, TFD_TIMER_ABSTIME, &setting, 0));
    SHOW(read(timer, &count, 8));
    printf("%lu\n", count);
    setting.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(timer, 0, &setting, 0));
    SHOW(timerfd_create(77, 0));
    SHOW(timerfd_settime(1, 0, &setting, 0));
    close(timer);
}

static void waits(void)
{
    int ends[2], counter = eventfd(0, 0), set, other, file = open("/dev/null", O_RDWR);
    uint64_t value = 1;
    char byte;
    struct epoll_event events[8], event = {EPOLLIN, {.u64 = 11}};
    pipe(ends);
    struct pollfd several[4] = {{ends[0], POLLIN}, {ends[1], POLLOUT}, {-1, POLLIN, 9}, {77, POLLIN}};
    SHOW(poll(several, 4, 0));
    for (int i = 0; i < 4; i++)
        printf("%#x ", several[i].revents);
    printf("\n");
    long start = now();
    SHOW(poll(several, 1, 30));
    printf("waited %d\n", now() - start >= 30);
    write(ends[1], "x", 1);
    SHOW(poll(several, 1, -1));
    fd_set reads, writes;
    FD_ZERO(&reads);
    FD_ZERO(&writes);
    FD_SET(ends[0], &reads);
    FD_SET(counter, &reads);
    FD_SET(ends[1], &writes);
    SHOW(select(20, &reads, &writes, 0, 0));
    printf("%d %d %d\n", FD_ISSET(ends[0], &reads) != 0, FD_ISSET(counter, &reads) != 0, FD_ISSET(ends[1], &writes) != 0);
    read(ends[0], &byte, 1);
    FD_ZERO(&reads);
    FD_SET(ends[0], &reads);
    struct timeval timeout = {0, 20000};
    start = now();
    SHOW(select(20, &reads, 0, 0, &timeout));
    printf("waited %d, %d\n", now() - start >= 20, FD_ISSET(ends[0], &reads) != 0);
    FD_SET(90, &reads);
    SHOW(select(100, &reads, 0, 0, &timeout));
    set = epoll_create1(EPOLL_CLOEXEC);
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event));
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = 22;
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, counter, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, set, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, ends[1], &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_DEL, ends[1], 0));
    SHOW(epoll_wait(set, events, 8, 0));
    write(ends[1], "yz", 2);
    write(counter, &value, 8);
    SHOW(epoll_wait(set, events, 8, -1));
    SHOW(epoll_wait(set, events, 8, -1));
    printf("%lu %#x\n", events[0].data.u64, events[0].events);
    write(counter, &value, 8);
    SHOW(epoll_wait(set, events, 8, -1));
    read(ends[0], &byte, 1);
    SHOW(epoll_wait(set, events, 8, 0));
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u64 = 33;
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_wait(set, events, 1, 0));
    SHOW(epoll_wait(set, events, 1, 20));
    other = epoll_create(1);
    event.events = EPOLLIN;
    SHOW(epoll_ctl(other, EPOLL_CTL_ADD, set, &event));
    SHOW(epoll_ctl(set, EPOLL_CTL_ADD, other, &event));
    SHOW(epoll_wait(other, events, 8, 0));
    write(counter, &value, 8);
    SHOW(epoll_wait(other, events, 8, 0));
    close(counter);
    SHOW(epoll_wait(set, events, 8, 0));
    close(ends[1]);
    event.events = 0;
    SHOW(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event));
    SHOW(epoll_wait(set, events, 8, 0));
    printf("%#x\n", events[0].events);
    SHOW(epoll_wait(set, events, 0, 0));
    SHOW(epoll_wait(ends[0], events, 1, 0));
    SHOW(epoll_create(0));
    several[0].events = POLLIN;
    SHOW(poll(several, 1, 0));
    printf("%#x\n", several[0].revents);
    close(file);
}

static void copies(void)
{
    static char bytes[100000], got[200000];
    int ends[2], file, other;
    off_t place = 10;
    loff_t from = 5, to = 3;
    for (int i = 0; i < sizeof bytes; i++)
        bytes[i] = i * 5 / 3;
    unlink("/tmp/exo-copy-from");
    file = open("/tmp/exo-copy-from", O_RDWR | O_CREAT, 0600);
    other = open("/tmp/exo-copy-to", O_RDWR | O_CREAT | O_TRUNC, 0600);
    write(file, bytes, sizeof bytes);
    pipe2(ends, O_NONBLOCK);
    SHOW(sendfile(ends[1], file, &place, 20));
    printf("%ld\n", (long)place);
    SHOW(sendfile(ends[1], file, 0, 20));
    lseek(file, 99990, SEEK_SET);
    SHOW(sendfile(ends[1], file, 0, 20));
    SHOW(read(ends[0], got, sizeof got));
    SHOW(memcmp(got, bytes + 10, 20));
    lseek(file, 0, SEEK_SET);
    SHOW(sendfile(other, file, 0, 200000));
    SHOW(copy_file_range(file, &from, other, &to, 50, 0));
    printf("%ld %ld\n", (long)from, (long)to);
    SHOW(pread(other, got, 200000, 0));
    SHOW(memcmp(got + 3, bytes + 5, 50));
    SHOW(memcmp(got + 53, bytes + 53, sizeof bytes - 53));
    SHOW(sendfile(ends[1], ends[0], 0, 5));
    SHOW(sendfile(99, file, 0, 5));
    unlink("/tmp/exo-copy-from");
    unlink("/tmp/exo-copy-to");
}

int main(void)
{
    copies();
    pipes();
    counters();
    timers();
    waits();
    return 0;
}
