// Signals that are read from files, and that come in waits for files.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long value = (call); printf("%s = %ld%s%s\n", #call, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : ""); } while (0)

static int handled;

static void handle(int signal)
{
    handled = handled * 100 + signal;
}

int main(void)
{
    sigset_t set, none, old;
    struct signalfd_siginfo records[3];
    struct pollfd one;
    int ends[2];
    char byte;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    int file = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    SHOW(read(file, records, sizeof records));
    one = (struct pollfd){file, POLLIN};
    SHOW(poll(&one, 1, 0));
    kill(getpid(), SIGUSR2);
    sigqueue(getpid(), SIGUSR1, (union sigval){42});
    SHOW(poll(&one, 1, -1));
    SHOW(read(file, records, sizeof records));
    printf("%u %d %d %d, %u %d %d\n", records[0].ssi_signo, records[0].ssi_code, records[0].ssi_int, records[0].ssi_pid == getpid(), records[1].ssi_signo, records[1].ssi_code, records[1].ssi_pid == getpid());
    SHOW(read(file, records, 100));
    sigdelset(&set, SIGUSR1);
    SHOW(signalfd(file, &set, 0) == file);
    kill(getpid(), SIGUSR1);
    SHOW(poll(&one, 1, 0));
    SHOW(signalfd(0, &set, 0));
    int events = epoll_create1(0);
    struct epoll_event event = {EPOLLIN}, got;
    epoll_ctl(events, EPOLL_CTL_ADD, file, &event);
    SHOW(epoll_wait(events, &got, 1, 0));
    kill(getpid(), SIGUSR2);
    SHOW(epoll_wait(events, &got, 1, 0));
    read(file, records, sizeof records);
    signal(SIGUSR1, handle);
    signal(SIGUSR2, handle);
    signal(SIGPIPE, handle);
    pipe(ends);
    one = (struct pollfd){ends[0], POLLIN};
    struct timespec time = {5, 0};
    SHOW(ppoll(&one, 1, &time, &none));
    printf("%d\n", handled);
    kill(getpid(), SIGUSR2);
    fd_set reads;
    FD_ZERO(&reads);
    FD_SET(ends[0], &reads);
    SHOW(pselect(ends[0] + 1, &reads, 0, 0, &time, &none));
    printf("%d\n", handled);
    kill(getpid(), SIGUSR1);
    SHOW(epoll_pwait(events, &got, 1, 5000, &none));
    printf("%d\n", handled);
    write(ends[1], "x", 1);
    kill(getpid(), SIGUSR1);
    SHOW(ppoll(&one, 1, &time, &none));
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("%d\n", handled);
    close(ends[0]);
    SHOW(write(ends[1], "x", 1));
    printf("%d\n", handled);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    close(ends[0]);
    SHOW(send(ends[1], "x", 1, MSG_NOSIGNAL));
    printf("%d\n", handled);
    SHOW(write(ends[1], "x", 1));
    printf("%d\n", handled);
    return 0;
}
