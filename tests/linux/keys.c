// Keys that are signals, and changes of size, while the program waits, and while it computes.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void handle(int signal)
{
    char text[32];
    struct winsize size;
    int length = snprintf(text, sizeof text, "<%d>", signal);
    if (signal == SIGWINCH && ioctl(0, TIOCGWINSZ, &size) == 0)
        length = snprintf(text, sizeof text, "<%d by %d>", size.ws_col, size.ws_row);
    write(1, text, length);
}

static void ask(const char *what)
{
    printf("%s>", what);
    fflush(stdout);
}

int main(void)
{
    char line[64];
    sigset_t all, none;
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct pollfd input = {0, POLLIN};
    sigaction(SIGINT, &action, 0);
    sigaction(SIGQUIT, &action, 0);
    sigaction(SIGWINCH, &action, 0);
    sigemptyset(&none);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    ask("wait");
    int found = ppoll(&input, 1, 0, &none);
    printf("%d %s\n", found, strerror(errno));
    sigprocmask(SIG_SETMASK, &none, 0);
    ask("read");
    long count = read(0, line, sizeof line);
    printf("%.*s", (int)count, line);
    sigprocmask(SIG_SETMASK, &all, 0);
    ask("pause");
    sigsuspend(&none);
    printf("\n");
    ask("size");
    sigsuspend(&none);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, 0);
    printf("\n");
    ask("compute");
    for (volatile long round = 0; round >= 0; round++)
        ;
    return 0;
}
