// Keys that are signals, and changes of size, while the program waits, and while it computes.
#include <errno.h>
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

int main(void)
{
    char line[64];
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGINT, &action, 0);
    sigaction(SIGQUIT, &action, 0);
    sigaction(SIGWINCH, &action, 0);
    printf("first>");
    fflush(stdout);
    long count = read(0, line, sizeof line);
    printf("%ld %s\n", count, strerror(errno));
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, 0);
    printf("again>");
    fflush(stdout);
    count = read(0, line, sizeof line);
    printf("%.*s", (int)count, line);
    printf("pause>");
    fflush(stdout);
    pause();
    printf("\nsize>");
    fflush(stdout);
    pause();
    signal(SIGINT, SIG_DFL);
    printf("\nlast>");
    fflush(stdout);
    for (volatile long count = 0; count >= 0; count++)
        ;
    return 0;
}
