// Threads that wait for each other by files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int forth[2], back[2], counter, full, set;
static char many[1 << 20], got[1 << 20];

static void *echo(void *unused)
{
    char byte;
    while (read(forth[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
        ;
    close(back[1]);
    return 0;
}

static void *pour(void *unused)
{
    long written = write(back[1], many, sizeof many);
    close(back[1]);
    return (void *)written;
}

static void *signal_late(void *event)
{
    uint64_t one = 1;
    usleep(20000);
    write(*(int *)event, &one, 8);
    return 0;
}

static void *write_by_name(void *unused)
{
    usleep(20000);
    int named = open("/tmp/exo-fifo", O_WRONLY);
    write(named, "by name", 7);
    close(named);
    return 0;
}

static void *drain(void *unused)
{
    uint64_t value;
    usleep(20000);
    return (void *)(long)read(full, &value, 8);
}

int main(void)
{
    pthread_t thread;
    void *result;
    char byte = 'a';
    unlink("/tmp/exo-fifo");
    printf("mkfifo %d\n", mkfifo("/tmp/exo-fifo", 0600));
    printf("nobody reads %d %d\n", open("/tmp/exo-fifo", O_WRONLY | O_NONBLOCK), errno == ENXIO);
    pthread_create(&thread, 0, write_by_name, 0);
    int named = open("/tmp/exo-fifo", O_RDONLY);
    char text[16] = {0};
    for (int at = 0, got; (got = read(named, text + at, sizeof text - at)) > 0;)
        at += got;
    pthread_join(thread, 0);
    printf("%s\n", text);
    close(named);
    unlink("/tmp/exo-fifo");
    pipe(forth);
    pipe(back);
    pthread_create(&thread, 0, echo, 0);
    for (int i = 0; i < 1000; i++) {
        write(forth[1], &byte, 1);
        if (read(back[0], &byte, 1) != 1)
            return 1;
        byte = 'a' + (byte - 'a' + 1) % 26;
    }
    close(forth[1]);
    printf("%c, then %zd\n", byte, read(back[0], &byte, 1));
    pthread_join(thread, 0);
    for (int i = 0; i < sizeof many; i++)
        many[i] = i * 31 / 7;
    pipe(back);
    pthread_create(&thread, 0, pour, 0);
    long total = 0, count;
    while ((count = read(back[0], got + total, 50000)) > 0)
        total += count;
    pthread_join(thread, &result);
    printf("%ld of %ld, %d\n", total, (long)result, memcmp(many, got, sizeof many));
    socketpair(AF_UNIX, SOCK_STREAM, 0, back);
    pthread_create(&thread, 0, pour, 0);
    total = 0;
    while ((count = read(back[0], got + total, 70000)) > 0)
        total += count;
    pthread_join(thread, &result);
    printf("%ld of %ld\n", total, (long)result);
    counter = eventfd(0, 0);
    pthread_create(&thread, 0, signal_late, &counter);
    struct pollfd one = {counter, POLLIN};
    printf("poll %d", poll(&one, 1, 10000));
    pthread_join(thread, 0);
    uint64_t value;
    printf(", read %zd\n", read(counter, &value, 8));
    set = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLET, {.fd = counter}}, events[2];
    epoll_ctl(set, EPOLL_CTL_ADD, counter, &event);
    for (int i = 0; i < 3; i++) {
        pthread_create(&thread, 0, signal_late, &counter);
        printf("epoll %d\n", epoll_wait(set, events, 2, 10000));
        pthread_join(thread, 0);
    }
    pthread_create(&thread, 0, signal_late, &counter);
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(set, &reads);
    printf("select %d\n", select(set + 1, &reads, 0, 0, 0));
    pthread_join(thread, 0);
    full = eventfd(0, 0);
    value = UINT64_MAX - 1;
    write(full, &value, 8);
    pthread_create(&thread, 0, drain, 0);
    value = 5;
    printf("write %zd, ", write(full, &value, 8));
    pthread_join(thread, &result);
    printf("drained %ld, ", (long)result);
    printf("read %zd\n", read(full, &value, 8));
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec setting = {{0, 0}, {0, 20000000}};
    timerfd_settime(timer, 0, &setting, 0);
    event.data.fd = timer;
    event.events = EPOLLIN;
    epoll_ctl(set, EPOLL_CTL_ADD, timer, &event);
    read(counter, &value, 8);
    while (epoll_wait(set, events, 1, -1) == 1 && events[0].data.fd != timer)
        ;
    printf("timer %zd\n", read(timer, &value, 8));
    return 0;
}
