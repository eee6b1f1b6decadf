// Signals between processes: kill, the end of children, stops, and what a handler interrupts.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int children, taken;

static void on_child(int signal, siginfo_t *information, void *context)
{
    children++;
}

static void on_user(int signal, siginfo_t *information, void *context)
{
    taken++;
    if (information->si_pid == getppid() && information->si_code == SI_USER)
        write(1, "from the parent\n", 16);
}

static void tell(const char *what, int status)
{
    if (WIFEXITED(status))
        printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        printf("%s: killed by %d\n", what, WTERMSIG(status));
    else if (WIFSTOPPED(status))
        printf("%s: stopped by %d\n", what, WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        printf("%s: continues\n", what);
    fflush(stdout);
}

int main(void)
{
    int status, ready[2];
    char byte;
    setvbuf(stdout, 0, _IOLBF, 0);
    struct sigaction child_ends = {.sa_flags = SA_SIGINFO | SA_RESTART, .sa_sigaction = on_child};
    struct sigaction user = {.sa_flags = SA_SIGINFO, .sa_sigaction = on_user};
    sigaction(SIGCHLD, &child_ends, 0);
    sigaction(SIGUSR1, &user, 0);
    pipe(ready);

    pid_t child = fork();
    if (!child) {
        write(ready[1], "x", 1);
        while (!taken)
            pause();
        _exit(taken);
    }
    read(ready[0], &byte, 1);
    kill(child, SIGUSR1);
    waitpid(child, &status, 0);
    tell("handled", status);
    printf("child ended %d\n", children);

    child = fork();
    if (!child)
        for (;;)
            pause();
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    tell("waiting", status);

    child = fork();
    if (!child)
        for (;;)
            ;
    usleep(30000);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    tell("computing", status);

    child = fork();
    if (!child) {
        *(volatile int *)0 = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    tell("faulting", status);

    child = fork();
    if (!child)
        abort();
    waitpid(child, &status, 0);
    tell("aborting", status);

    child = fork();
    if (!child) {
        raise(SIGSTOP);
        usleep(200000);
        _exit(9);
    }
    waitpid(child, &status, WUNTRACED);
    tell("stopping", status);
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    tell("stopped", status);
    waitpid(child, &status, 0);
    tell("continued", status);

    child = fork();
    if (!child) {
        close(ready[0]);
        close(ready[1]);
        int closed[2];
        pipe(closed);
        close(closed[0]);
        write(closed[1], "y", 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    tell("writing", status);
    printf("%d, ", kill(child, 0));
    printf("children ended %s\n", children >= 5 ? "often" : "seldom");
    return 0;
}
