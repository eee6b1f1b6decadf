// Executing programs: this one again, with arguments, variables and open files, after fork and vfork.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int again(int count, char **words) {
    printf("%d:", count);
    for (int i = 1; i < count; i++) printf(" %s", words[i]);
    for (char **variable = environ; *variable; variable++) printf(" [%s]", *variable);
    printf(" kept %d, closed %d", fcntl(10, F_GETFD), fcntl(11, F_GETFD));
    struct sigaction action;
    sigaction(SIGUSR1, 0, &action);
    printf(", ignored %d", action.sa_handler == SIG_IGN);
    sigaction(SIGUSR2, 0, &action);
    printf(", default %d\n", action.sa_handler == SIG_DFL);
    return 40 + count;
}

static void handler(int signal) {}

static void await(const char *what, pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    printf("%s: %d\n", what, WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int main(int count, char **words) {
    setvbuf(stdout, 0, _IOLBF, 0);
    if (count > 1) return again(count, words);
    // A copy of itself, where both systems have it.
    char path[] = "/tmp/exovisor-execution-XXXXXX";
    int copy = mkstemp(path), self = open("/proc/self/exe", O_RDONLY);
    static char buffer[1 << 20];
    for (ssize_t bytes; (bytes = read(self, buffer, sizeof buffer)) > 0;) write(copy, buffer, bytes);
    fchmod(copy, 0755);
    close(copy);
    close(self);
    dup2(1, 10);
    dup3(1, 11, O_CLOEXEC);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, handler);
    char *arguments[] = {"name", "one", "two words", "", 0}, *variables[] = {"A=1", "B=x y", 0};
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            execve(path, arguments, variables);
            _exit(1);
        }
        await("fork", child);
    }
    pid_t child = vfork();
    if (child == 0) {
        execve(path, arguments, variables);
        _exit(1);
    }
    await("vfork", child);
    if (posix_spawn(&child, path, 0, 0, arguments, variables) == 0) await("spawn", child);
    // By a directory, or by an open file.
    for (int round = 0; round < 4; round++) {
        child = fork();
        if (child == 0) {
            int folder = open("/tmp", O_RDONLY | O_DIRECTORY), file = open(path, O_RDONLY);
            if (round == 0) execveat(folder, path + 5, arguments, variables, 0);
            if (round == 1) execveat(file, "", arguments, variables, AT_EMPTY_PATH);
            if (round == 2) execveat(AT_FDCWD, path, arguments, variables, AT_SYMLINK_NOFOLLOW);
            if (round == 3) execveat(file, "", arguments, variables, 0);
            _exit(errno);
        }
        await("execveat", child);
    }
    // Scripts.
    char script[] = "/tmp/exovisor-script", line[100];
    int file = open(script, O_CREAT | O_TRUNC | O_WRONLY, 0700);
    write(file, line, sprintf(line, "#!%s with one argument\nmore\n", path));
    fchmod(file, 0755);
    close(file);
    child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        char *given[] = {"ignored", "last", 0};
        execve(script, given, variables);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    printf("script: %d\n", WEXITSTATUS(status));
    // Errors.
    chmod(script, 0644);
    printf("%d", execve("/nowhere", arguments, variables));
    printf(" %s; ", strerror(errno));
    printf("%d", execve("/tmp", arguments, variables));
    printf(" %s\n", strerror(errno));
    file = open(script, O_WRONLY | O_TRUNC);
    write(file, "nonsense\n", 9);
    close(file);
    chmod(script, 0755);
    printf("%d", execve(script, arguments, variables));
    printf(" %s\n", strerror(errno));
    unlink(script);
    unlink(path);
    return 0;
}
