// Processes that wait for each other by files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char many[600000], got[600000];

static int end_of(pid_t child)
{
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int main(void)
{
    int forth[2], back[2], pair[2];
    char byte = 'a';
    setvbuf(stdout, 0, _IONBF, 0);
    pipe(forth);
    pipe(back);
    pid_t child = fork();
    if (child == 0) {
        close(forth[1]);
        while (read(forth[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            ;
        _exit(5);
    }
    close(forth[0]);
    close(back[1]);
    for (int i = 0; i < 200; i++) {
        write(forth[1], &byte, 1);
        if (read(back[0], &byte, 1) != 1)
            return 1;
        byte = 'a' + (byte - 'a' + 1) % 26;
    }
    close(forth[1]);
    printf("%c, then %zd, ended %d\n", byte, read(back[0], &byte, 1), end_of(child));
    for (int i = 0; i < sizeof many; i++)
        many[i] = i * 31 / 7;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    child = fork();
    if (child == 0) {
        close(pair[0]);
        _exit(write(pair[1], many, sizeof many) == sizeof many ? 6 : 7);
    }
    close(pair[1]);
    long total = 0, count;
    while ((count = read(pair[0], got + total, 50000)) > 0)
        total += count;
    printf("%ld, %d, ended %d\n", total, memcmp(many, got, sizeof many), end_of(child));
    int counter = eventfd(0, 0), set = epoll_create1(0);
    struct epoll_event event = {EPOLLIN}, found;
    epoll_ctl(set, EPOLL_CTL_ADD, counter, &event);
    child = fork();
    if (child == 0) {
        uint64_t value = 3;
        usleep(20000);
        write(counter, &value, 8);
        _exit(0);
    }
    uint64_t value;
    printf("epoll %d, ", epoll_wait(set, &found, 1, 10000));
    printf("read %zd, ended %d\n", read(counter, &value, 8), end_of(child));
    pipe(forth);
    child = fork();
    if (child == 0) {
        close(forth[0]);
        for (;;)
            write(forth[1], many, 1000);
    }
    close(forth[1]);
    read(forth[0], got, 1000);
    close(forth[0]);
    printf("broken pipe %d\n", end_of(child) == -SIGPIPE);
    int file = open("/tmp/exo-between", O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct flock lock = {F_WRLCK, SEEK_SET, 0, 10};
    fcntl(file, F_SETLK, &lock);
    pipe(forth);
    child = fork();
    if (child == 0) {
        struct flock other = {F_WRLCK, SEEK_SET, 5, 10};
        int refused = fcntl(file, F_SETLK, &other) < 0 && (errno == EAGAIN || errno == EACCES);
        write(forth[1], "x", 1);
        int had = fcntl(file, F_SETLKW, &other) == 0;
        write(file, "child", 5);
        _exit(refused * 2 + had);
    }
    read(forth[0], &byte, 1);
    usleep(20000);
    lock.l_type = F_UNLCK;
    fcntl(file, F_SETLK, &lock);
    printf("locks %d, ", end_of(child));
    printf("shared offset %ld\n", (long)lseek(file, 0, SEEK_CUR));
    unlink("/tmp/exo-between");
    return 0;
}
