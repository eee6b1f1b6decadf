// Processes: fork, waiting for children, their statuses, groups and sessions.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int global = 1;

static void show(const char *what, int status) {
    if (WIFEXITED(status)) printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) printf("%s: signal %d\n", what, WTERMSIG(status));
    else printf("%s: %x\n", what, status);
    fflush(stdout);
}

static void await(const char *what, pid_t child) {
    int status = 0;
    pid_t found = waitpid(child, &status, 0);
    if (found != child) printf("%s: waitpid gives %d, %s\n", what, found != child, strerror(errno));
    show(what, status);
}

// What a child changes stays its own.
static void copies(void) {
    int local = 1;
    char *heap = malloc(1 << 20), *mapped = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(heap, 1, 1 << 20);
    memset(mapped, 1, 1 << 16);
    pid_t child = fork();
    if (child == 0) {
        if (global + local + heap[999999] + mapped[65535] != 4) _exit(9);
        global = local = 2;
        memset(heap, 2, 1 << 20);
        memset(mapped, 2, 1 << 16);
        free(heap);
        char *more = malloc(1 << 21);
        memset(more, 3, 1 << 21);
        _exit(global + local + mapped[5]);
    }
    await("copies", child);
    printf("%d %d %d %d\n", global, local, heap[999999], mapped[65535]);
    free(heap);
}

static void statuses(void) {
    pid_t child = fork();
    if (child == 0) {
        volatile int *nowhere = 0;
        signal(SIGSEGV, SIG_DFL);
        *nowhere = 1;
    }
    await("segmentation", child);
    child = fork();
    if (child == 0) _exit(300);
    await("exit", child);
    child = fork();
    if (child == 0) exit(7);
    siginfo_t info = {0};
    printf("%d", waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    printf(" %d %d %d %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == child);
    await("again", child);
    printf("%d", waitpid(child, 0, 0));
    printf(" %s\n", strerror(errno));
    printf("%d", waitpid(-1, 0, WNOHANG));
    printf(" %s\n", strerror(errno));
}

// Many at once, then one inside the other.
static void many(void) {
    pid_t children[8];
    int sum = 0;
    for (int i = 0; i < 8; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (volatile int turn = 0; turn < 100000; turn++) {}
            _exit(i);
        }
    }
    for (int i = 0; i < 8; i++) {
        int status;
        pid_t child = wait(&status);
        for (int k = 0; k < 8; k++) if (children[k] == child) sum += 1 << k;
        sum += WEXITSTATUS(status) << 8;
    }
    printf("many: %x\n", sum);
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    int depth = 0;
    while (child == 0 && depth < 6) {
        depth++;
        child = fork();
    }
    if (child == 0) _exit(depth);
    waitpid(child, &status, 0);
    if (depth) _exit(WEXITSTATUS(status) + 10);
    show("nested", status);
    for (int i = 0; i < 60; i++) {
        child = fork();
        if (child == 0) _exit(i);
        if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != i) printf("round %d\n", i);
    }
}

static void parents(void) {
    int ends[2];
    pipe(ends);
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        char buffer[100];
        int bytes = sprintf(buffer, "parent %d, own number %d, group %d, session %d\n", getppid() == self, getpid() != self,
                            getpgrp() == getpgid(self), getsid(0) == getsid(self));
        write(ends[1], buffer, bytes);
        bytes = sprintf(buffer, "setpgid %d", setpgid(0, 0));
        bytes += sprintf(buffer + bytes, " %d", getpgrp() == getpid());
        bytes += sprintf(buffer + bytes, " setsid %d", setsid());
        bytes += sprintf(buffer + bytes, " %s\n", strerror(errno));
        write(ends[1], buffer, bytes);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            bytes = sprintf(buffer, "setsid %d", setsid() == getpid());
            bytes += sprintf(buffer + bytes, " %d %d\n", getsid(0) == getpid(), getpgrp() == getpid());
            write(ends[1], buffer, bytes);
            _exit(0);
        }
        waitpid(grandchild, 0, 0);
        _exit(0);
    }
    close(ends[1]);
    char buffer[1000];
    int bytes, all = 0;
    while ((bytes = read(ends[0], buffer + all, sizeof buffer - all)) > 0) all += bytes;
    printf("%.*s", all, buffer);
    fflush(stdout);
    await("parents", child);
}

static void in_place(void) {
    pid_t child = vfork();
    if (child == 0) _exit(5);
    await("vfork", child);
}

static volatile sig_atomic_t ended;
static void count(int signal, siginfo_t *info, void *context) {
    ended += info->si_code == CLD_EXITED && info->si_status == 4;
}

// Signals between parent and child.
static void signals(void) {
    struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, 0);
    pid_t child = fork();
    if (child == 0) _exit(4);
    await("told", child);
    printf("%d\n", ended);
    signal(SIGCHLD, SIG_DFL);
    child = fork();
    if (child == 0) for (;;) pause();
    kill(child, SIGTERM);
    await("killed", child);
    child = fork();
    if (child == 0) for (;;) pause();
    int status = 0;
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d", WIFSTOPPED(status) ? WSTOPSIG(status) : 0);
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf(" goes on %d\n", WIFCONTINUED(status) != 0);
    kill(child, SIGKILL);
    await("killed", child);
    printf("%d", kill(child, 0));
    printf(" %s\n", strerror(errno));
    // All of a group.
    int sum = 0;
    pid_t leader = 0;
    for (int i = 0; i < 3; i++) {
        child = fork();
        if (child == 0) {
            for (;;) pause();
        }
        if (i == 0) leader = child;
        setpgid(child, leader);
    }
    printf("%d", killpg(leader, SIGUSR1));
    for (int i = 0; i < 3; i++) {
        waitpid(-leader, &status, 0);
        sum += WTERMSIG(status);
    }
    printf(" %d\n", sum);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    copies();
    statuses();
    many();
    parents();
    in_place();
    signals();
    return 0;
}
