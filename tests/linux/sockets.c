// Pairs of sockets, in one process.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define SHOW(call) do { errno = 0; long value = (call); printf("%s = %ld%s%s\n", #call, value, value < 0 ? " " : "", value < 0 ? strerror(errno) : ""); } while (0)

static void show_ready(int socket)
{
    struct pollfd one = {socket, POLLIN | POLLOUT | POLLRDHUP};
    poll(&one, 1, 0);
    printf("ready %#x\n", one.revents);
}

int main(void)
{
    int pair[2], type;
    char text[64] = {0}, other[64] = {0};
    struct stat status;
    socklen_t length = sizeof type;
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(getsockopt(pair[0], SOL_SOCKET, SO_TYPE, &type, &length));
    printf("%d %u\n", type, length);
    fstat(pair[0], &status);
    printf("socket %d\n", S_ISSOCK(status.st_mode));
    show_ready(pair[0]);
    SHOW(write(pair[0], "forth", 5));
    SHOW(send(pair[1], "back", 4, 0));
    SHOW(recv(pair[1], text, 64, MSG_PEEK));
    SHOW(recv(pair[1], text, 2, 0));
    SHOW(read(pair[1], text + 2, 60));
    SHOW(read(pair[0], other, 60));
    printf("%s %s\n", text, other);
    SHOW(recv(pair[0], text, 1, MSG_DONTWAIT));
    SHOW(lseek(pair[0], 0, SEEK_SET));
    SHOW(send(pair[0], "last", 4, 0));
    SHOW(shutdown(pair[0], SHUT_WR));
    show_ready(pair[0]);
    show_ready(pair[1]);
    SHOW(read(pair[1], text, 60));
    SHOW(read(pair[1], text, 60));
    SHOW(send(pair[0], "x", 1, MSG_NOSIGNAL));
    SHOW(send(pair[1], "y", 1, MSG_NOSIGNAL));
    SHOW(close(pair[1]));
    show_ready(pair[0]);
    SHOW(read(pair[0], text, 60));
    SHOW(read(pair[0], text, 60));
    SHOW(close(pair[0]));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
    SHOW(fcntl(pair[1], F_GETFD));
    SHOW(send(pair[0], "one", 3, 0));
    SHOW(send(pair[0], "", 0, 0));
    SHOW(send(pair[0], "three and more", 14, 0));
    SHOW(recv(pair[1], text, 64, 0));
    SHOW(recv(pair[1], text, 64, 0));
    struct iovec place = {text, 5};
    struct msghdr message = {0, 0, &place, 1};
    SHOW(recvmsg(pair[1], &message, 0));
    printf("%.5s %d\n", text, message.msg_flags == MSG_TRUNC);
    SHOW(recvmsg(pair[1], &message, 0));
    SHOW(sendmsg(pair[1], &message, 0));
    SHOW(recv(pair[0], text, 2, MSG_TRUNC));
    SHOW(shutdown(pair[0], 7));
    SHOW(shutdown(1, SHUT_RD));
    SHOW(socketpair(AF_UNIX, 77, 0, pair));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)16));
    return 0;
}
